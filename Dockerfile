# The image of vci-webhook: Python, the packages of the lock, webhook/ and certs/, and nothing else. docs/image.md.
# BASE is any image with glibc 2.34, Python 3.11 and its pip, or newer; pin it by its digest: python:3.13-slim@sha256:…
ARG BASE=python:3.13-slim

# For builds that reach no package index: --build-context wheels=FOLDER, a folder that `pip download` has filled.
FROM scratch AS wheels
COPY LICENSE /

FROM ${BASE} AS build
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/runtime.txt requirements/image.txt requirements/
# The secrets are for an index or a proxy of one's own: a pip.conf, and a file of CAs. Without them pip does as it always does.
RUN --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca set -eu; \
    if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    if ls /wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels; fi; \
    install() { \
        python3 -m venv --without-pip "$2"; \
        python3 -m pip --python "$2/bin/python" install --quiet --only-binary :all: --require-hashes --requirement "$1"; \
    }; \
    install requirements/runtime.txt /opt/vci-webhook; \
    install requirements/image.txt /opt/build
COPY pyproject.toml README.md LICENSE ./
COPY webhook webhook
COPY certs certs
ARG SOURCE_DATE_EPOCH=315532800
# By way of a wheel, whose metadata, unlike that of an install from a folder, names no path.
RUN python3 -m pip --python /opt/build/bin/python wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /opt/own . && \
    python3 -m pip --python /opt/vci-webhook/bin/python install --quiet --no-index --no-deps --find-links /opt/own vci-webhook
COPY tools/__init__.py tools/
COPY tools/image tools/image
RUN /opt/build/bin/python -m tools.image.root /image

FROM scratch
COPY --from=build /image/ /
ARG BASE
ARG VERSION=
ARG REVISION=
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="vci-webhook" \
      org.opencontainers.image.description="A mutating admission webhook that places Argo Workflows Pods on VCI, Volcengine's virtual nodes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}"
ENV PATH=/opt/vci-webhook/bin LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /
EXPOSE 8443 8080
CMD ["vci-webhook", "serve"]
