# The database, and beside it everything that backs it up: pgBackRest, Redis' and PostgreSQL's clients, `remotegpu backups`.
ARG PYTHON_IMAGE=python:3.13-slim-trixie
ARG POSTGRES_IMAGE=postgres:17.12-trixie

FROM ${PYTHON_IMAGE} AS builder
# Where pip and uv look for packages; unset, their own default.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY scripts/uv.lock ./
RUN python -m venv tools \
 && tools/bin/pip install --no-cache-dir --require-hashes -r uv.lock \
 && python -m venv --without-pip /opt/remotegpu
# uv checks the hashes of constraints, which pip does not: so one lock file serves every image.
COPY pyproject.toml requirements.lock ./
RUN export UV_DEFAULT_INDEX="${PIP_INDEX_URL:-}" UV_INDEX="${PIP_EXTRA_INDEX_URL:-}" \
 && tools/bin/uv pip install --python tools/bin/python -c requirements.lock hatchling \
 && tools/bin/uv pip install --python /opt/remotegpu/bin/python -c requirements.lock -r pyproject.toml --extra site
COPY LICENSE README.md ./
COPY src src
RUN tools/bin/python -m hatchling build -t wheel -d dist \
 && tools/bin/uv pip install --python /opt/remotegpu/bin/python --no-deps --no-index dist/*.whl

FROM ${POSTGRES_IMAGE}
# The environment is made by the Python of this image, of the same minor version; only the packages are copied into it.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates pgbackrest python3 redis-tools \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv --without-pip /opt/remotegpu
COPY --from=builder /opt/remotegpu/lib /opt/remotegpu/lib
COPY --from=builder /opt/remotegpu/bin/remotegpu /opt/remotegpu/bin/
ENV PATH=/opt/remotegpu/bin:/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 999:999
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["pg_isready", "--quiet", "--username", "postgres"]
# Last, so that a release of the same source is made in a second.
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="remotegpu-postgresql" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
