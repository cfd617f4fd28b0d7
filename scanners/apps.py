from django.apps import AppConfig


class ScannersConfig(AppConfig):
    name = "scanners"

    def ready(self) -> None:
        from scanners import checks  # noqa: F401  (registers the system checks)
        from scanners.registry import load_adapters

        load_adapters()
