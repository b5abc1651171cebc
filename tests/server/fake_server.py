"""A real server process on the fake engine: `python -m tests.server.fake_server`. Settings come from the
environment, as with `scenebrush serve`."""

from server import logs
from server.app import create_app
from server.serving import make_server
from server.settings import Settings
from tests.server.fake_engine import FakeLibrary


def main() -> None:
    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    make_server(create_app(settings, FakeLibrary()), settings).run()


if __name__ == "__main__":
    main()
