"""Every setting, once, from the environment; `variables.toml` lists the variables."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP

from scanners.addresses import Allowed
from scanners.urls import Rules, read_url
from sentrascan_project import logs, timetable
from sentrascan_project.environment import (
    age,
    choice,
    database,
    kept_secret,
    number,
    secret,
    switch,
    text,
    words,
)
from sentrascan_project.signing_in import *  # noqa: F403 - settings are names, and these belong together

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

# --- Where things are
DATA_DIR = Path(text("SENTRASCAN_DATA_DIR") or BASE_DIR / "var").resolve()
SCANNERS_DIR = Path(
    text("SENTRASCAN_SCANNERS_DIR") or BASE_DIR / "var" / "scanners"
).resolve()
UPLOAD_DIR = DATA_DIR / "uploads"
RUN_DIR = DATA_DIR / "runs"
HOSTS_DIR = DATA_DIR / "hosts"
INSTALLATION_KEY_PATH = DATA_DIR / "installation-key"
DATA_DIR.mkdir(parents=True, exist_ok=True)

# --- Who we are to the outside
SECRET_KEY = secret("SENTRASCAN_SECRET") or kept_secret(DATA_DIR / "secret")
DEBUG = switch("SENTRASCAN_DEBUG")
HOST = text("SENTRASCAN_HOST")
PORT = number("SENTRASCAN_PORT")
PUBLIC_URL = text("SENTRASCAN_PUBLIC_URL").rstrip("/")
_public = urlsplit(PUBLIC_URL)
if PUBLIC_URL and (_public.scheme not in {"http", "https"} or not _public.hostname):
    raise ImproperlyConfigured("SENTRASCAN_PUBLIC_URL must be http(s)://host[:port]")
ALLOWED_HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    *words("SENTRASCAN_ALLOWED_HOSTS"),
    *([_public.hostname] if _public.hostname else []),
]
# Addresses or networks of proxies whose X-Forwarded-For is believed.
TRUSTED_PROXIES = words("SENTRASCAN_TRUSTED_PROXIES")
# Who may read /metrics without a key, besides this machine.
try:
    METRICS_ALLOW = [
        ip_network(entry.strip())
        for entry in words("SENTRASCAN_METRICS_ALLOW")
        if entry.strip()
    ]
except ValueError as error:
    raise ImproperlyConfigured(f"SENTRASCAN_METRICS_ALLOW: {error}") from error
IS_HTTPS = _public.scheme == "https"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []

# --- Django
INSTALLED_APPS = [
    "scans",
    "apikeys",
    "scanners",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
]
MIDDLEWARE = [
    "sentrascan_project.middleware.RequestIdMiddleware",
    "sentrascan_project.middleware.LiveConnectionMiddleware",
    "sentrascan_project.probes.ProbesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "sentrascan_project.middleware.PageSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "sentrascan_project.middleware.PageUserMiddleware",
    "sentrascan_project.middleware.PageMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "sentrascan_project.urls"
WSGI_APPLICATION = "sentrascan_project.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "scans.console.frame.frame",
            ],
            "libraries": {
                "console": "scans.console.tags",
                "marks": "scans.console.marks",
                "findings": "scans.console.finding_tags",
            },
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False

# --- Database: SQLite below DATA_DIR, or what DATABASE_URL says
DATABASES = {
    "default": database(
        secret("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'sentrascan.sqlite3'}"
    )
}
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    # A connection for each request does not pay.
    _database["CONN_MAX_AGE"] = 600
    _database["CONN_HEALTH_CHECKS"] = True
    _database["OPTIONS"] = {
        **_database.get("OPTIONS", {}),
        "server_side_binding": True,
        # Only what asks for it: see apikeys.prepared.
        "prepare_threshold": None,
        "connect_timeout": 5,
    }

# How long one query of the web server may take; workers and commands have no such end.
STATEMENT_TIMEOUT_SECONDS = number("SENTRASCAN_STATEMENT_TIMEOUT_SECONDS")

# --- Static files
STATIC_URL = "/static/"
STATIC_ROOT = text("SENTRASCAN_STATIC_DIR") or str(DATA_DIR / "static")
STATICFILES_DIRS = [BASE_DIR / "static"]
HAS_COLLECTED_STATIC = switch("SENTRASCAN_COLLECTED_STATIC")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if HAS_COLLECTED_STATIC
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not HAS_COLLECTED_STATIC
if not HAS_COLLECTED_STATIC:
    Path(STATIC_ROOT).mkdir(parents=True, exist_ok=True)

# --- Browser and session security
SECURE_CSP = {
    "default-src": [CSP.SELF],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF, "data:"],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SECURE_SSL_REDIRECT = IS_HTTPS
# The proxies inside ask over plain http and follow no redirect.
SECURE_REDIRECT_EXEMPT = [r"^api/v1/health$", r"^livez$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_HTTPS
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Without an https address these four ask for what plain http cannot give: a redirect
# to https (W008), HSTS (W004), secure cookies (W012, W016).
SILENCED_SYSTEM_CHECKS = (
    []
    if IS_HTTPS
    else [
        "security.W004",
        "security.W008",
        "security.W012",
        "security.W016",
    ]
)

# --- Limits of what a client may ask
MAX_UPLOAD_BYTES = number("SENTRASCAN_MAX_UPLOAD_BYTES")
MIN_FREE_BYTES = number("SENTRASCAN_MIN_FREE_BYTES")
MAX_DOCUMENT_BYTES = 32 << 20  # one MCP document, whole in memory while it is checked
# A multipart body streams to disk through our own upload handler.
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_DOCUMENT_BYTES
DATA_UPLOAD_MAX_NUMBER_FILES = 10_000
SCAN_ROOTS = [
    Path(root).resolve() for root in text("SENTRASCAN_SCAN_ROOTS").split(":") if root
]
HAS_REMOTE_TARGETS = switch("SENTRASCAN_REMOTE_TARGETS")
MCP_INTROSPECTION = choice("SENTRASCAN_MCP_INTROSPECTION")
MCP_INTROSPECTION_NETWORK = switch("SENTRASCAN_MCP_INTROSPECTION_NETWORK")

# --- Remote targets: what may be contacted, and as whom
ALLOWS_HTTP = switch("SENTRASCAN_ALLOW_HTTP")
try:
    EGRESS_ALLOWED = Allowed.of(
        [entry for entry in words("SENTRASCAN_EGRESS_ALLOW") if entry]
    )
except ValueError as error:
    raise ImproperlyConfigured(f"SENTRASCAN_EGRESS_ALLOW: {error}") from error
EGRESS_CA_FILE = text("SENTRASCAN_EGRESS_CA_FILE")
if EGRESS_CA_FILE and not Path(EGRESS_CA_FILE).is_file():
    raise ImproperlyConfigured("SENTRASCAN_EGRESS_CA_FILE names no file")
S3_ENDPOINT = text("SENTRASCAN_S3_ENDPOINT")
S3_REGION = text("SENTRASCAN_S3_REGION")
S3_ACCESS_KEY_ID = secret("SENTRASCAN_S3_ACCESS_KEY_ID")
S3_SECRET_ACCESS_KEY = secret("SENTRASCAN_S3_SECRET_ACCESS_KEY")
S3_SESSION_TOKEN = secret("SENTRASCAN_S3_SESSION_TOKEN")
if bool(S3_ACCESS_KEY_ID) != bool(S3_SECRET_ACCESS_KEY):
    raise ImproperlyConfigured(
        "SENTRASCAN_S3_ACCESS_KEY_ID and SENTRASCAN_S3_SECRET_ACCESS_KEY go together"
    )
HF_ENDPOINT = text("SENTRASCAN_HF_ENDPOINT")
HF_TOKEN = secret("SENTRASCAN_HF_TOKEN")
for _endpoint in filter(None, (S3_ENDPOINT, HF_ENDPOINT)):
    try:
        read_url(_endpoint, Rules(EGRESS_ALLOWED, ALLOWS_HTTP))
    except ValueError as error:
        raise ImproperlyConfigured(f"{_endpoint}: {error}") from error

# --- Running the tools
SCAN_TIMEOUT_SECONDS = number("SENTRASCAN_SCAN_TIMEOUT_SECONDS")
SANDBOX = choice("SENTRASCAN_SANDBOX")
HAS_WARM_HOSTS = switch("SENTRASCAN_WARM_HOSTS")

# --- How long what is kept; None is for ever
KEEP_SCANS = age("SENTRASCAN_KEEP_SCANS")
KEEP_SCANS_PER_TARGET = number("SENTRASCAN_KEEP_SCANS_PER_TARGET")
if KEEP_SCANS_PER_TARGET < 0:
    raise ImproperlyConfigured("SENTRASCAN_KEEP_SCANS_PER_TARGET is less than 0")
KEEP_UPLOADS = age("SENTRASCAN_KEEP_UPLOADS")
KEEP_AUDIT = age("SENTRASCAN_KEEP_AUDIT")

# --- How long an attestation holds: what is known of a file today is old some day
ATTESTATION_DAYS = number("SENTRASCAN_ATTESTATION_DAYS")
if not 1 <= ATTESTATION_DAYS <= 3650:
    raise ImproperlyConfigured("SENTRASCAN_ATTESTATION_DAYS is not 1 to 3650")

# --- Queue. The row is the truth, the queue a doorbell: a lost message is rung again.
LEASE_SECONDS = 20
HEARTBEAT_SECONDS = 5
REAPER_SECONDS = 10
MAX_ATTEMPTS = 3
_hard_limit = SCAN_TIMEOUT_SECONDS * 4
CELERY_BROKER_URL = secret("CELERY_BROKER_URL") or "filesystem://localhost//"
if CELERY_BROKER_URL.startswith("filesystem"):
    _queue = DATA_DIR / "queue"
    for _name in ("messages", "control"):
        (_queue / _name).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT = "sentrascan_project.filequeue:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_queue / "messages"),
        "data_folder_out": str(_queue / "messages"),
        "control_folder": str(_queue / "control"),
        "polling_interval": 0.02,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": _hard_limit + 600,
        # A killed worker's message comes back in 4 s, not in 102 s.
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": 0.5,
        "socket_timeout": 5,
        # Asking once is enough: by default a client would wait 6 s for a dead broker.
        "max_retries": 0,
        "connect_retries_timeout": 0.2,
    }
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = number("SENTRASCAN_WORKER_CONCURRENCY")
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
# A connection for each scan would be a tenth of a small one's time. See
# `celery.look_at_connections` for one that has broken.
CELERY_DB_REUSE_MAX = 1_000
CELERY_TASK_DEFAULT_QUEUE = "scans"
CELERY_TASK_ROUTES = timetable.ROUTES
# A client never waits for a broker that is away: the reaper rings again.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BEAT_SCHEDULE = timetable.schedule(reaper_seconds=REAPER_SECONDS)

# --- Cache: rate-limit counters that all replicas share
CACHES = {
    "default": {
        "BACKEND": "sentrascan_project.counting.CountingRedisCache",
        "LOCATION": CELERY_BROKER_URL,
        "KEY_PREFIX": "sentrascan",
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 1},
    }
    if CELERY_BROKER_URL.startswith("redis")
    else {
        "BACKEND": "sentrascan_project.counting.CountingFileCache",
        "LOCATION": str(DATA_DIR / "cache"),
        # The default of 300 would throw rate-limit counters away.
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
}

# --- REST API
RATE_LIMIT = text("SENTRASCAN_RATE_LIMIT")
if not re.fullmatch(r"[1-9]\d*/(s|sec|min|m|hour|h|day|d)", RATE_LIMIT):
    raise ImproperlyConfigured("SENTRASCAN_RATE_LIMIT must be like 600/min")
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apikeys.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["apikeys.permissions.HasRole"],
    "DEFAULT_THROTTLE_CLASSES": ["sentrascan_project.throttling.KeyRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"key": RATE_LIMIT},
    "DEFAULT_PARSER_CLASSES": ["sentrascan_project.api.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["sentrascan_project.api.OrjsonRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "sentrascan_project.api.PlainNegotiation",
    "DEFAULT_PAGINATION_CLASS": "sentrascan_project.api.KeysetPagination",
    "DEFAULT_METADATA_CLASS": "sentrascan_project.api.NoMetadata",
    "URL_FORMAT_OVERRIDE": None,  # ?format= is an unknown parameter like any other
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "sentrascan_project.api.problem_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": [
        "rest_framework.renderers.MultiPartRenderer",
        "rest_framework.renderers.JSONRenderer",
    ],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "SentraScan",
    "DESCRIPTION": "Security scans of ML models and MCP servers, and their verdicts.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "ScanType": "scanners.contract.TargetKind",
        "ScanStatus": "scans.choices.ScanStatus",
        "RunStatus": "scans.choices.RunStatus",
        "BaselineStatus": "scans.choices.BaselineStatus",
        "FindingState": "scans.api.target_answers.STATES",
        "KeyState": "apikeys.choices.KeyState",
        "DetectionStatus": "scans.api.answers.DETECTION",
        "HealthStatus": ["ok", "unavailable"],
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "sentrascan_project.schema_examples.exemplify",
        "sentrascan_project.schema.complete",
    ],
}
# Threads of one web process; half of them may be held by clients that wait.
WEB_THREADS = number("SENTRASCAN_WEB_THREADS")
AUTH_FAILURES_PER_MINUTE = number("SENTRASCAN_AUTH_FAILURES_PER_MINUTE")

# --- Logs: one JSON object a line
LOGGING = logs.configuration(choice("SENTRASCAN_LOG_LEVEL"))
