"""Counts that only ever grow, whatever is deleted, and the times of timed tasks.

Rows are deleted by retention and by hand. A counter that is counted from them would
fall, and Prometheus takes a fall for a restart: it would report all scans as new.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connection, models

type Counted = Mapping[tuple[str, str], float]


class TallyQuerySet(models.QuerySet["Tally"]):
    def add(self, counted: Counted) -> None:
        """Add each number to the row of its name and labels, in one statement.

        Call it last in a transaction: others who count the same wait for its end.
        """
        self._write(counted, "tallies.value + excluded.value")

    def put(self, told: Counted) -> None:
        """Write each number in the place of the old one."""
        self._write(told, "excluded.value")

    def _write(self, rows: Counted, value: str) -> None:
        if not rows:
            return
        # In one order, or two workers would deadlock.
        parameters = [
            part
            for name, labels in sorted(rows)
            for part in (name, labels, float(rows[name, labels]))
        ]
        places = ", ".join(["(%s, %s, %s)"] * len(rows))
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO tallies (name, labels, value) VALUES {places}"  # noqa: S608 - no input is in it
                f" ON CONFLICT (name, labels) DO UPDATE SET value = {value}",
                parameters,
            )


class Tally(models.Model):
    """One number: `labels` are the values of its labels, with commas between them."""

    name = models.CharField(max_length=60)
    labels = models.CharField(max_length=200)
    value = models.FloatField(default=0)

    objects = TallyQuerySet.as_manager()

    class Meta:
        db_table = "tallies"
        constraints = [
            models.UniqueConstraint(fields=["name", "labels"], name="scans_tally_once"),
            models.CheckConstraint(
                condition=models.Q(value__gte=0), name="scans_tally_not_below_zero"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}{{{self.labels}}} {self.value:g}"
