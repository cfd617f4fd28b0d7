"""Included below /api/v1/ without a namespace."""

from django.urls import path

from apikeys.api import views

urlpatterns = [
    path("api-keys", views.ApiKeyListView.as_view(), name="api-keys"),
    path("api-keys/<uuid:key_id>", views.ApiKeyView.as_view(), name="api-key"),
    path(
        "api-keys/<uuid:key_id>/revoke",
        views.RevokeView.as_view(),
        name="api-key-revoke",
    ),
    path(
        "api-keys/<uuid:key_id>/rotate",
        views.RotateView.as_view(),
        name="api-key-rotate",
    ),
    path("audit-events", views.AuditEventListView.as_view(), name="audit-events"),
]
