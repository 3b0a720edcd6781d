# The control plane: server, worker and migrations, one image for the three.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

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
 && tools/bin/uv pip install --python /opt/remotegpu/bin/python -c requirements.lock -r pyproject.toml --extra server
COPY LICENSE README.md ./
COPY src src
RUN tools/bin/python -m hatchling build -t wheel -d dist \
 && tools/bin/uv pip install --python /opt/remotegpu/bin/python --no-deps --no-index dist/*.whl

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10100 remotegpu \
 && useradd --uid 10100 --gid remotegpu --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin remotegpu
COPY --from=builder /opt/remotegpu /opt/remotegpu
ENV PATH=/opt/remotegpu/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SERVER_HOST=0.0.0.0
USER 10100:10100
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "remotegpu.kit.probe", "http://127.0.0.1:8080/health"]
ENTRYPOINT ["remotegpu"]
CMD ["server", "run"]
# Last, so that a release of the same source is made in a second.
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="remotegpu-backend" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
