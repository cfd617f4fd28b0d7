"""What gunicorn loads."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import resolve

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")

application = get_wsgi_application()
# Django loads views at the first request: each worker for itself, while a client waits.
# Here it happens once, before the fork, and the memory is shared.
resolve("/api/v1/health")
