import django.db.models.deletion
import django.utils.timezone
import scans.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('scans', '0010_sealed_headers'),
    ]

    operations = [
        migrations.CreateModel(
            name='TargetFinding',
            fields=[
                ('target_finding_id', models.UUIDField(default=scans.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('fingerprint', models.CharField(max_length=70)),
                ('scanner', models.CharField(max_length=50)),
                ('rule', models.CharField(max_length=200)),
                ('severity', models.PositiveSmallIntegerField(choices=[(0, 'Info'), (1, 'Low'), (2, 'Medium'), (3, 'High'), (4, 'Critical')])),
                ('category', models.CharField(choices=[('code_execution', 'Code Execution'), ('deserialization', 'Deserialization'), ('command_injection', 'Command Injection'), ('prompt_injection', 'Prompt Injection'), ('tool_poisoning', 'Tool Poisoning'), ('tool_shadowing', 'Tool Shadowing'), ('excessive_permission', 'Excessive Permission'), ('secret_exposure', 'Secret Exposure'), ('data_exfiltration', 'Data Exfiltration'), ('network_access', 'Network Access'), ('file_access', 'File Access'), ('archive_attack', 'Archive Attack'), ('obfuscation', 'Obfuscation'), ('malformed_file', 'Malformed File'), ('model_backdoor', 'Model Backdoor'), ('supply_chain', 'Supply Chain'), ('licence', 'Licence'), ('vulnerable_dependency', 'Vulnerable Dependency'), ('baseline_drift', 'Baseline Drift'), ('denial_of_service', 'Denial Of Service'), ('quality', 'Quality'), ('other', 'Other')], max_length=30)),
                ('title', models.CharField(max_length=500)),
                ('location', models.JSONField(default=dict)),
                ('first_seen_at', models.DateTimeField()),
                ('first_scan_id', models.UUIDField()),
                ('last_seen_at', models.DateTimeField(blank=True, null=True)),
                ('last_scan_id', models.UUIDField(blank=True, null=True)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('resolved_scan_id', models.UUIDField(blank=True, null=True)),
                ('reopened_at', models.DateTimeField(blank=True, null=True)),
                ('times_reopened', models.PositiveIntegerField(default=0)),
            ],
            options={
                'db_table': 'target_findings',
                'ordering': ['-severity', 'target_finding_id'],
            },
        ),
        migrations.AddField(
            model_name='scandetail',
            name='reopened_findings',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='scandetail',
            name='resolved_findings',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='target',
            name='last_scan_at',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False),
        ),
        migrations.AddField(
            model_name='target',
            name='last_scan_id',
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name='target',
            index=models.Index(fields=['-last_scan_at', '-target_id'], name='scans_target_last'),
        ),
        migrations.AddField(
            model_name='targetfinding',
            name='target',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.DB_CASCADE, related_name='findings', to='scans.target'),
        ),
        migrations.AddIndex(
            model_name='targetfinding',
            index=models.Index(fields=['target', '-severity', 'target_finding_id'], name='scans_targetfinding_worst'),
        ),
        migrations.AddIndex(
            model_name='targetfinding',
            index=models.Index(condition=models.Q(('resolved_at', None)), fields=['target'], name='scans_targetfinding_open'),
        ),
        migrations.AddIndex(
            model_name='targetfinding',
            index=models.Index(condition=models.Q(('resolved_at__isnull', False)), fields=['resolved_at'], name='scans_targetfinding_over'),
        ),
        migrations.AddConstraint(
            model_name='targetfinding',
            constraint=models.UniqueConstraint(fields=('target', 'fingerprint'), name='scans_targetfinding_once'),
        ),
        migrations.AddConstraint(
            model_name='targetfinding',
            constraint=models.CheckConstraint(condition=models.Q(('severity__in', [0, 1, 2, 3, 4])), name='scans_targetfinding_severity_known'),
        ),
        migrations.AddConstraint(
            model_name='targetfinding',
            constraint=models.CheckConstraint(condition=models.Q(('resolved_at', None), ('last_seen_at__isnull', False), _connector='OR'), name='scans_targetfinding_resolved_was_seen'),
        ),
    ]
