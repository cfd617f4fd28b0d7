from django.apps import AppConfig


class ScannersConfig(AppConfig):
    name = "scanners"

    def ready(self) -> None:
        # Checks register themselves; the edition is taken while the code is loaded.
        from scanners import checks, edition  # noqa: F401 - see above
        from scanners.registry import load_adapters

        load_adapters()
