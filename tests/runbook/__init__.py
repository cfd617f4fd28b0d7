"""The operator's commands, typed for real: docs/runbook.md and what came before it."""
