"""Routes of the console, included at the root."""

from django.urls import path

from scans.console import session
from scans.console.scan_list import scan_list

app_name = "console"
urlpatterns = [
    path("", session.home, name="home"),
    path("sign-in", session.SignIn.as_view(), name="sign-in"),
    path("sign-out", session.sign_out, name="sign-out"),
    path("password", session.PasswordChange.as_view(), name="password"),
    path("theme", session.choose_theme, name="theme"),
    path("scans", scan_list, name="scans"),
]
