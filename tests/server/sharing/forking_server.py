"""Real servers on the fake engine that are there at once: `python -m tests.server.sharing.forking_server`.

It imports everything once. Each line of its input, settings as JSON, makes a process of its own that serves;
when that has ended, however, the next line is read.
"""

import json
import os
import resource
import sys

from server import logs
from server.app import create_app
from server.serving import make_server
from server.settings import Settings
from tests.server.fake_engine import FakeLibrary

SERVING = "serving"
ENDED = "ended"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def serve(values: dict[str, object]) -> None:
    most = values.pop("largest_file", None)
    if isinstance(most, int):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    settings = Settings(port=0, memory_mb=0, **values)  # type: ignore[arg-type]
    logs.configure("json", "error")
    app = create_app(settings, FakeLibrary())  # type: ignore[arg-type]
    make_server(app, settings, lambda url: say(f"{SERVING} {os.getpid()} {url}")).run()


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            serve(json.loads(line))
            os._exit(0)
        os.waitpid(child, 0)
        say(ENDED)


if __name__ == "__main__":
    main()
