"""A real server process on the fake engine: `python -m tests.server.fake_server`. Settings come from the
environment, as with `scenebrush serve`; FAKE_ENGINE holds arguments of FakeLibrary, as JSON."""

import json
import os

from server import logs
from server.app import create_app
from server.serving import make_server
from server.settings import Settings
from tests.server.fake_engine import FakeLibrary


def main() -> None:
    settings = Settings()
    library = FakeLibrary(**json.loads(os.environ.get("FAKE_ENGINE", "{}")))
    logs.configure(settings.log_format, settings.log_level)
    make_server(create_app(settings, library), settings).run()


if __name__ == "__main__":
    main()
