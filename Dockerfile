# syntax=docker/dockerfile:1
# One image with all programs: docker build -t pithy-jaunt . ; compose.yaml and helm/ run it.
ARG BASE=debian:13-slim

FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        gcc libc6-dev cmake ninja-build pkg-config libcurl4-openssl-dev libevent-dev libgit2-dev libhiredis-dev \
        libjansson-dev libseccomp-dev musl-tools libssl-dev zlib1g-dev nodejs npm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The pages are bundled with Node.js and npm; off where the build has no network: the API alone.
ARG PJ_UI=ON
# Where npm is behind a certificate authority of your own: mount its file into the build and name it here.
ARG NODE_EXTRA_CA_CERTS=
RUN cmake --preset release -DCMAKE_INSTALL_PREFIX=/usr -DPJ_UI=${PJ_UI} \
    && cmake --build --preset release \
    && DESTDIR=/out cmake --install build/release --strip

FROM ${BASE}
# What tasks find in their box, which shows this image's /usr: add what your repositories need to build and test.
ARG BOX_PACKAGES="git make python3"
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates libcurl4t64 libevent-core-2.1-7t64 libgit2-1.9 libhiredis1.1.0 libjansson4 libseccomp2 libssl3t64 \
        zlib1g ${BOX_PACKAGES} \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 pj && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /var/lib/pithyjaunt pj \
    && install -d -o pj -g pj -m 0700 /var/lib/pithyjaunt
COPY --from=build /out/usr/bin/ /usr/bin/

ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="Pithy Jaunt" \
      org.opencontainers.image.description="Turns a task into a pull request: API, runner, sandbox, agent and command line" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

USER 1000:1000
VOLUME /var/lib/pithyjaunt
EXPOSE 8080
ENV PJ_LISTEN=0.0.0.0:8080
# Of the API, which is what the image runs when nothing else is said; compose.yaml switches it off for the runner.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ code _ <&3 && [ \"$code\" = 200 ]"]
CMD ["pj-api"]
