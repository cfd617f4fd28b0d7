"""Results that are used again, who is about to make one, and what a verdict rests on."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('scans', '0002_target_search'),
    ]

    operations = [
        migrations.CreateModel(
            name='ResultClaim',
            fields=[
                ('key', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('owner', models.CharField(max_length=200)),
                ('attempt', models.PositiveSmallIntegerField()),
            ],
            options={
                'db_table': 'result_claims',
            },
        ),
        migrations.CreateModel(
            name='StoredResult',
            fields=[
                ('key', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('scanner', models.CharField(max_length=50)),
                ('report', models.TextField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('last_used_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'db_table': 'stored_results',
            },
        ),
        migrations.RemoveIndex(
            model_name='scan',
            name='scans_scan_digest',
        ),
        migrations.AddField(
            model_name='scan',
            name='is_of_bytes',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='scan',
            name='rules',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name='worker',
            name='rules',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddIndex(
            model_name='scan',
            index=models.Index(condition=models.Q(('is_of_bytes', True)), fields=['digest', 'policy_name', '-created_at', '-scan_id'], name='scans_scan_verdict'),
        ),
        migrations.AddField(
            model_name='resultclaim',
            name='scan',
            field=models.ForeignKey(on_delete=django.db.models.deletion.DB_CASCADE, related_name='+', to='scans.scan'),
        ),
        migrations.AddField(
            model_name='storedresult',
            name='run',
            field=models.OneToOneField(on_delete=django.db.models.deletion.DB_CASCADE, related_name='stored_result', to='scans.scannerrun'),
        ),
        migrations.AddIndex(
            model_name='storedresult',
            index=models.Index(fields=['last_used_at'], name='scans_result_last_used'),
        ),
        migrations.AddIndex(
            model_name='storedresult',
            index=models.Index(fields=['scanner'], name='scans_result_scanner'),
        ),
        migrations.AddConstraint(
            model_name='storedresult',
            constraint=models.CheckConstraint(condition=models.Q(('key__regex', '^[0-9a-f]{64}$')), name='scans_result_key_form'),
        ),
    ]
