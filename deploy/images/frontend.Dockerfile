# The console as files, served by nginx without any right on its host.
ARG NODE_IMAGE=node:24-trixie-slim
ARG NGINX_IMAGE=nginx:1.30.4

FROM ${NODE_IMAGE} AS builder
# Where npm looks for packages; unset, its own default.
ARG NPM_CONFIG_REGISTRY
WORKDIR /build
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund --loglevel=error
COPY web ./
RUN npm run --silent build

FROM ${NGINX_IMAGE}
COPY deploy/images/frontend.nginx.conf /etc/nginx/nginx.conf
COPY --from=builder /build/dist /usr/share/nginx/html
USER 101:101
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=5s --start-period=5s --retries=3 \
    CMD ["curl", "--silent", "--fail", "--output", "/dev/null", "http://127.0.0.1:3000/healthz"]
STOPSIGNAL SIGQUIT
ENTRYPOINT ["nginx"]
CMD ["-g", "daemon off;"]
# Last, so that a release of the same source is made in a second.
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="remotegpu-frontend" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
