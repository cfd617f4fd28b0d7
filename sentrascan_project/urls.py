"""Routes."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from sentrascan_project import schema
from sentrascan_project.health import HealthView

api: list[URLPattern | URLResolver] = [
    path("health", HealthView.as_view(), name="health"),
    path("schema", schema.SchemaView.as_view(), name="schema"),
    path("docs", schema.docs, name="docs"),
    path("", include("scans.api.urls")),
    path("", include("apikeys.api.urls")),
]
urlpatterns = [
    path("api/v1/", include(api)),
    path("admin/", admin.site.urls),
    path("", include("scans.console.urls")),
]

handler400 = "sentrascan_project.api.bad_request"
handler403 = "sentrascan_project.api.forbidden"
handler404 = "sentrascan_project.api.not_found"
handler500 = "sentrascan_project.api.server_failure"
