"""Every setting of the server: each is an environment variable `SCENEBRUSH_…`, listed in docs/settings.md."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")

Names = Annotated[tuple[str, ...], NoDecode]
"""A comma-separated list in the environment."""


class Settings(BaseSettings):
    """Read from the environment; arguments win. Unset means the default."""

    model_config = SettingsConfigDict(env_prefix="SCENEBRUSH_", env_ignore_empty=True, frozen=True)

    # Where it answers
    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. 0.0.0.0 lets other machines in.",
    )
    port: int = Field(
        default=8000,
        ge=0,
        le=65535,
        description="Port to listen on; 0 takes a free one.",
    )
    root_path: str = Field(
        default="",
        description="Path under which a reverse proxy serves Scenebrush, such as /paint. Empty for the root.",
    )
    trusted_proxies: Names = Field(
        default=("127.0.0.1",),
        description="Addresses of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )

    # What paints
    models_dir: Path | None = Field(
        default=None,
        description="Folder of further model files (.safetensors) beside the built-in one.",
    )
    default_model: str | None = Field(
        default=None,
        description="Id of the model used when a request names none. Unset: the built-in one.",
    )
    device: str = Field(
        default="auto",
        description="auto, cpu, cuda or cuda:N. auto takes CUDA where it works.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="Arithmetic of the network. auto takes bf16 where the hardware really has it.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="CPU threads of the network. Unset: as many as there are cores.",
    )
    cache_mb: int = Field(
        default=512,
        ge=0,
        description="Most MiB of modulation tables kept between pictures, over all models and painters.",
    )
    painter_cache_mb: int = Field(
        default=40,
        ge=0,
        description="MiB of modulation tables that there is room for per live painter, where that is more in "
        "all than SCENEBRUSH_CACHE_MB: a map of 256×256 that is painted over and over takes about 15, one of "
        "512×512 four times as many, and tables that are in use are not to be forgotten.",
    )
    session_mb: int = Field(
        default=128,
        ge=0,
        description="Most MiB that one live painter keeps between pictures, for previews: times "
        "SCENEBRUSH_MAX_PAINTERS for all of them.",
    )
    memory_mb: int | None = Field(
        default=None,
        ge=0,
        description="MiB of memory beyond which the server lets go of what it can make again, and then takes "
        "in nobody new; 0 for no such limit. Unset: 90 % of the container's limit, else of the machine's "
        "memory.",
    )
    max_models: int = Field(
        default=4,
        ge=1,
        description="Most models and segmenters in memory at once; what was not used for longest makes room.",
    )
    pretrained_segmenter: Path | None = Field(
        default=None,
        description="Folder of the pretrained segmenter that `scenebrush segmenter fetch` downloads. Unset: "
        "scenebrush/segmenters/ade20k in XDG_DATA_HOME, else in ~/.local/share.",
    )
    batch: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Most pictures painted together when several painters wait. Unset: 8 on a GPU; 1 on a "
        "CPU, where painting together saves nothing and makes everyone wait.",
    )

    # What it accepts
    max_side: int = Field(
        default=2048,
        ge=64,
        le=16384,
        description="Longest side of a picture, in pixels.",
    )
    max_pixels: int = Field(
        default=1024 * 1024,
        ge=4096,
        description="Most pixels of a picture (width × height).",
    )
    max_map_pixels: int = Field(
        default=4 * 1024 * 1024,
        ge=4096,
        description="Most pixels of a label map that is sent to be resized to the picture's size.",
    )
    max_photo_pixels: int = Field(
        default=24 * 1024 * 1024,
        ge=4096,
        description="Most pixels of a photo that is edited, segmented or read for its style.",
    )
    max_body_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="Most bytes of a request's body.",
    )
    body_timeout: float = Field(
        default=30.0,
        gt=0,
        description="Seconds in which a request's body must have arrived.",
    )
    queue_length: int = Field(
        default=16,
        ge=1,
        description="Requests that may wait for the device; further ones are answered 503.",
    )
    max_uploads: int = Field(
        default=64,
        ge=1,
        description="Requests whose bodies may be on their way at once; further ones are answered 503.",
    )
    max_painters: int = Field(
        default=40,
        ge=1,
        description="Pages that may paint live at once.",
    )
    ping_interval: float = Field(
        default=20.0,
        gt=0,
        description="Seconds between two pings, by which a live connection is asked whether its page is "
        "still there.",
    )
    ping_timeout: float = Field(
        default=20.0,
        gt=0,
        description="Seconds in which a ping must be answered; then the connection is dropped and its seat "
        "is free.",
    )
    idle_timeout: float = Field(
        default=900.0,
        gt=0,
        description="Seconds without a change after which a live painter's seat is given up.",
    )
    watchdog_seconds: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that one use of the device may take; then the process leaves with status 70, to "
        "be started again.",
    )
    head_timeout: float = Field(
        default=10.0,
        gt=0,
        description="Seconds in which a request's head must have arrived; then its connection is dropped.",
    )
    request_timeout: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that a request may take in all, until its answer has been taken.",
    )
    send_timeout: float = Field(
        default=20.0,
        gt=0,
        description="Seconds after which a connection is dropped whose peer takes nothing of what is sent.",
    )
    live_hours: float = Field(
        default=24.0,
        ge=0,
        description="Hours that one live connection may last; the page comes back by itself. 0 for no end.",
    )
    max_connections: int = Field(
        default=1024,
        ge=1,
        description="Connections that may be open at once, live ones included.",
    )
    drain_timeout: float = Field(
        default=10.0,
        ge=0,
        description="Seconds that painters and requests under way get to finish after SIGTERM.",
    )
    jpeg_quality: int = Field(
        default=92,
        ge=1,
        le=100,
        description="JPEG and WebP quality when a request names none.",
    )

    # Many machines
    ray: bool = Field(
        default=False,
        description="Paint on many machines, by Ray Serve; see docs/cluster.md.",
    )
    ray_replicas: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Model replicas, processes with a device each; the fewest where "
        "SCENEBRUSH_RAY_MAX_REPLICAS is set.",
    )
    ray_max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Most model replicas; between the two there are as many as the work asks for. Unset: "
        "always SCENEBRUSH_RAY_REPLICAS.",
    )
    ray_ongoing: float = Field(
        default=1.5,
        gt=0,
        description="Pieces of work under way for each replica from which more replicas are started.",
    )
    ray_cpus: float = Field(
        default=1.0,
        ge=0,
        description="CPU cores that Ray sets aside for each model replica.",
    )
    ray_gpus: float = Field(
        default=0.0,
        ge=0,
        description="GPUs that Ray sets aside for each model replica.",
    )
    ray_ingresses: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Processes that hold pages' sockets and their maps, before the replicas.",
    )

    # Who may ask
    allowed_hosts: Names = Field(
        default=(),
        description="Host names that requests may use besides localhost and its addresses, comma-separated, "
        "* for any. Unset: no others when listening on localhost, else any.",
    )
    allowed_origins: Names = Field(
        default=(),
        description="Web origins besides the server's own whose pages may paint live and send requests, "
        "such as https://paint.example. A reverse proxy that changes Host needs its own origin here.",
    )
    cors_origins: Names = Field(
        default=(),
        description="Web origins whose scripts may read answers (CORS). Unset: none, CORS is off.",
    )

    require_token: bool = Field(
        default=False,
        description="Answer only those who have a token (`scenebrush token add`), but for the page itself.",
    )
    tokens_file: Path | None = Field(
        default=None,
        description="File of the tokens given out. Unset: tokens.json in SCENEBRUSH_DATA_DIR, else in "
        "scenebrush in XDG_DATA_HOME, else in ~/.local/share/scenebrush.",
    )
    client_rate: float = Field(
        default=60.0,
        ge=0,
        description="Requests a second that one client may send for long; 0 for no limit. A client is a "
        "token, else an address.",
    )
    client_burst: int = Field(
        default=120,
        ge=1,
        description="Requests that one client may send at once, after a quiet time.",
    )
    client_requests: int = Field(
        default=8,
        ge=0,
        description="Requests of one client that may be worked on at once; 0 for no limit.",
    )
    client_sockets: int = Field(
        default=64,
        ge=0,
        description="Live connections of one client that may be open at once; 0 for no limit.",
    )
    hsts: bool = Field(
        default=False,
        description="Tell browsers that came by https to come by nothing else for a year.",
    )

    # What it keeps
    sharing: bool = Field(
        default=False,
        description="Keep paintings that people share by a link. Off: the server keeps nothing.",
    )
    data_dir: Path | None = Field(
        default=None,
        description="Folder of the database of shared paintings. Unset: scenebrush in XDG_DATA_HOME, else in "
        "~/.local/share.",
    )
    database_url: str | None = Field(
        default=None,
        repr=False,
        description="Address of another database of shared paintings, as SQLAlchemy writes it. Unset: "
        "shares.sqlite3 in that folder.",
    )
    share_days: int = Field(
        default=30,
        ge=0,
        le=36500,
        description="Days after which a shared painting is deleted; 0 for never.",
    )
    share_max_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        le=1024 * 1024 * 1024,
        description="Most bytes of one shared painting; SCENEBRUSH_MAX_BODY_BYTES bounds it too.",
    )
    share_total_bytes: int = Field(
        default=1024 * 1024 * 1024,
        ge=1024,
        description="Most bytes of all shared paintings together.",
    )
    share_max_count: int = Field(
        default=10_000,
        ge=1,
        description="Most paintings shared at once.",
    )
    share_uploads: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Paintings that may be on their way to be shared at once; further ones are answered 503.",
    )

    # What it shows
    docs: bool = Field(
        default=True,
        description="Serve the interactive API description at /docs and /openapi.json.",
    )
    metrics: bool = Field(
        default=True,
        description="Serve Prometheus metrics at /metrics.",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        description="Address of an OpenTelemetry collector that takes traces by OTLP over HTTP, such as "
        "http://collector:4318. Unset: as OTEL_EXPORTER_OTLP_ENDPOINT says, else there are no traces.",
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto",
        description="Log lines for people (console) or machines (json); auto looks for a terminal.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Least level logged.",
    )

    @field_validator("trusted_proxies", "allowed_hosts", "allowed_origins", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: str | Sequence[str]) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(part.strip().rstrip("/") for part in parts if part.strip())

    @field_validator("root_path")
    @classmethod
    def _rooted(cls, value: str) -> str:
        path = value.strip("/")
        return f"/{path}" if path else ""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The allowed host names, `*` for any, with the default worked out."""
        if self.allowed_hosts:
            return (*self.allowed_hosts, *LOOPBACK_HOSTS)  # a health check on the same machine
        return LOOPBACK_HOSTS if self.host in LOOPBACK_HOSTS else ("*",)

    @property
    def origins(self) -> frozenset[str]:
        """Origins besides the server's own that may send requests."""
        return frozenset(origin.lower() for origin in (*self.allowed_origins, *self.cors_origins))

    @property
    def max_message_bytes(self) -> int:
        """Largest useful live message: a whole map, raw, with its header; never below 2 MiB for text, that of
        the longest style codes for as many regions as may be."""
        return max(self.max_pixels + 64, 2 * 1024 * 1024)


class SeveralWorkersError(RuntimeError):
    """One process owns the model, the device and every live painter."""

    def __init__(self, asked_by: str) -> None:
        super().__init__(
            f"Scenebrush runs in one process, and {asked_by} asks for several. One process owns the model "
            "and the device, and a live painter's map lives in it; a second one would load the model again "
            "and slow both down. Remove it; to use more devices, run one Scenebrush per device behind a "
            "proxy with sticky sessions."
        )


def refuse_several_workers(environ: Mapping[str, str] = os.environ, argv: Sequence[str] = ()) -> None:
    """Raise SeveralWorkersError if the environment or uvicorn's command line asks for several processes."""
    concurrency = environ.get("WEB_CONCURRENCY", "")
    if concurrency.isdecimal() and int(concurrency) > 1:
        raise SeveralWorkersError(f"WEB_CONCURRENCY={concurrency}")
    workers = _option(argv, "--workers", "-w")
    if workers.isdecimal() and int(workers) > 1:
        raise SeveralWorkersError(f"--workers {workers}")


def _option(argv: Sequence[str], *names: str) -> str:
    for argument, following in zip(argv, [*argv[1:], ""], strict=False):
        name, _, value = argument.partition("=")
        if name in names:
            return value or following
    return ""
