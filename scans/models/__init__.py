"""Rows, queries and transitions, one file a noun."""

from scans.models.baselines import Baseline
from scans.models.days import ScanDay
from scans.models.drifts import ScanDrift
from scans.models.headers import SealedHeaders
from scans.models.installation import InstallationKey
from scans.models.policies import Policy
from scans.models.policy_defaults import PolicyDefault
from scans.models.prepared import Prepared, Remembered
from scans.models.results import ResultClaim, StoredResult
from scans.models.runs import Finding, ScannerRun
from scans.models.scans import FINISHED, JUDGED, Lease, Scan, ScanDetail, ScanSnapshot
from scans.models.tallies import Tally
from scans.models.target_findings import TargetFinding
from scans.models.targets import Target
from scans.models.uploads import ScanFile, Upload
from scans.models.waivers import ScanWaiver, Waiver
from scans.models.workers import Worker, live_since, worker_name

__all__ = [
    "FINISHED",
    "JUDGED",
    "Baseline",
    "Finding",
    "InstallationKey",
    "Lease",
    "Policy",
    "PolicyDefault",
    "Prepared",
    "Remembered",
    "ResultClaim",
    "Scan",
    "ScanDay",
    "ScanDetail",
    "ScanDrift",
    "ScanFile",
    "ScanSnapshot",
    "ScanWaiver",
    "ScannerRun",
    "SealedHeaders",
    "StoredResult",
    "Tally",
    "Target",
    "TargetFinding",
    "Upload",
    "Waiver",
    "Worker",
    "live_since",
    "worker_name",
]
