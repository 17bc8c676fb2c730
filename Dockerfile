# The production image: `serve` and what it needs, without the sandbox, the tests or pip.
# Build it with: make image
# Its root may be read-only: it writes to /tmp and /dev/shm alone.

# Any image with Python 3.11 to 3.13 as `python`; a release should name it by digest.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt /tmp/requirements.txt
# Wheels only: a source package would run code of its own here, and would need a compiler.
# Bytecode is made now because nobody can write it later, and is trusted as it is because copying may change times.
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install --no-compile --only-binary :all: \
    --require-hashes -r /tmp/requirements.txt \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/venv
WORKDIR /app
COPY openapi.yaml ./
COPY service ./service
# The stand-in for Telnyx must not exist in production.
RUN rm -r service/sandbox service/console/sandbox \
 && python -m compileall -q --invalidation-mode unchecked-hash service

FROM ${BASE}
# The commit that it is made of, and when that was.
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="video-token-service" \
      org.opencontainers.image.description="Client tokens for Telnyx Video rooms" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# What installs packages is of use only to somebody who got in.
RUN rm -rf /usr/local/lib/python3.*/site-packages/* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip*
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
# Numbers, so that an orchestrator can see that it is not root. This user owns no file.
USER 10001:10001
# METRICS_PORT is not named here, as it is never to be public.
EXPOSE 8080
STOPSIGNAL SIGTERM
# By http.client, because urllib would ask a proxy that the environment names.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["python", "-c", "import os, sys, http.client as h; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8080), timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "service", "serve"]
