# syntax=docker/dockerfile:1
# For an NVIDIA GPU by default: PyTorch's own wheels carry CUDA, so a slim Python image is base enough.
#   docker build -t scenebrush . && docker run --gpus all -p 8000:8000 scenebrush
# docs/docker.md has the CPU image and the read-only root.

FROM python:3.11-slim AS build

# Address of an index that holds CPU builds of torch and torchvision; empty takes the builds with CUDA.
ARG TORCH_INDEX=
# Names of further extras in pyproject.toml, such as "ray".
ARG EXTRAS=

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/scenebrush
ENV PATH=/opt/scenebrush/bin:$PATH
WORKDIR /src

# Dependencies alone first: a change of our code does not bring torch anew.
COPY pyproject.toml constraints.txt ./
# Traces are sent where an environment variable says; what sends them is small, so it is always there.
RUN python -c 'import os, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
      extras = [project["optional-dependencies"][name] for name in ["telemetry", *os.environ["EXTRAS"].split()]]; \
      print(*project["dependencies"], *sum(extras, []), sep="\n")' > requirements.txt
RUN if [ -n "$TORCH_INDEX" ]; then \
      PIP_INDEX_URL="$TORCH_INDEX" pip install --no-deps --constraint constraints.txt torch torchvision; \
    fi
RUN pip install --constraint constraints.txt --requirement requirements.txt hatchling

COPY README.md LICENSE ./
COPY models models
COPY engine engine
COPY server server
COPY training training
COPY static static
COPY templates templates
RUN pip install --no-deps --no-build-isolation .


FROM python:3.11-slim

LABEL org.opencontainers.image.title="Scenebrush" \
      org.opencontainers.image.description="Paint a label map, see the photo live" \
      org.opencontainers.image.licenses="Apache-2.0"

# A compiler: kernels are compiled for the very processor or GPU that they will run on, at the first start.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin scenebrush \
    && install -d -o 10001 -m 0700 /var/cache/scenebrush /var/lib/scenebrush
COPY --from=build /opt/scenebrush /opt/scenebrush

# Inside a container loopback would reach nobody, so the server listens on every interface. No home, and no file is
# written but the compiled kernels and, with SCENEBRUSH_SHARING, the database in /var/lib/scenebrush, which wants a
# volume; should a library want a temporary file, /dev/shm is writable even when the root is not.
ENV PATH=/opt/scenebrush/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/dev/shm \
    XDG_CACHE_HOME=/var/cache \
    TRITON_CACHE_DIR=/var/cache/scenebrush/triton \
    SCENEBRUSH_DATA_DIR=/var/lib/scenebrush \
    SCENEBRUSH_HOST=0.0.0.0 \
    SCENEBRUSH_PORT=8000

USER 10001:10001
WORKDIR /
EXPOSE 8000

# ProxyHandler({}): a proxy named in the environment is not for loopback.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['SCENEBRUSH_PORT'] + '/healthz', timeout=4)"]

# The exec form: the server is process 1 and hears SIGTERM itself. It then drains and leaves.
ENTRYPOINT ["scenebrush"]
CMD ["serve"]
