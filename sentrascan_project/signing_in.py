"""Settings of how people sign in to the console and the admin; part of settings.py."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from sentrascan_project.environment import secret, text, words

LOGIN_URL = "console:sign-in"
LOGIN_REDIRECT_URL = "console:home"
SESSION_COOKIE_AGE = 12 * 3600  # one working day
CSRF_FAILURE_VIEW = "scans.console.failures.stale_form"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# Five wrong passwords for a name from one address shut that pair out: nobody can shut
# out somebody else by guessing at their name.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "apikeys.addresses.client_address"
AXES_LOCKOUT_CALLABLE = "scans.console.session.shut_out"
AXES_DISABLE_ACCESS_LOG = True  # audit events say who signed in
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {
        "NAME": "django.contrib.auth.password_validation"
        ".UserAttributeSimilarityValidator"
    },
]

# --- Single sign-on by an OpenID Connect provider, where one is named
OIDC_ISSUER = text("SENTRASCAN_OIDC_ISSUER")
OIDC_CLIENT_ID = text("SENTRASCAN_OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = secret("SENTRASCAN_OIDC_CLIENT_SECRET")
OIDC_LABEL = text("SENTRASCAN_OIDC_LABEL")
OIDC_SCOPES = ["openid", "profile", "email", *words("SENTRASCAN_OIDC_MORE_SCOPES")]
OIDC_GROUPS_CLAIM = text("SENTRASCAN_OIDC_GROUPS_CLAIM")
OIDC_GROUPS = {
    "viewer": words("SENTRASCAN_OIDC_VIEWER_GROUPS"),
    "scanner": words("SENTRASCAN_OIDC_SCANNER_GROUPS"),
    "admin": words("SENTRASCAN_OIDC_ADMIN_GROUPS"),
}
if OIDC_ISSUER:
    _issuer = urlsplit(OIDC_ISSUER)
    _is_here = _issuer.hostname in {"localhost", "127.0.0.1", "::1"}
    if _issuer.scheme != "https" and not (_issuer.scheme == "http" and _is_here):
        raise ImproperlyConfigured("SENTRASCAN_OIDC_ISSUER must be https://...")
    if not OIDC_CLIENT_ID:
        raise ImproperlyConfigured("SENTRASCAN_OIDC_ISSUER needs ..._OIDC_CLIENT_ID")
    if not any(OIDC_GROUPS.values()):
        raise ImproperlyConfigured(
            "SENTRASCAN_OIDC_ISSUER needs groups: set SENTRASCAN_OIDC_VIEWER_GROUPS, "
            "..._SCANNER_GROUPS or ..._ADMIN_GROUPS"
        )
