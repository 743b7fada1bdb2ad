# The production image: pgwarden alone, as an unprivileged user. No Postgres and no compiler in it.
#   docker build -t pgwarden .
#   docker run -v ./config:/etc/pgwarden:ro -v audit:/var/lib/pgwarden -p 6432:6432 pgwarden

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PGWARDEN_COMPILE=always
# The path of every statement is compiled; the compiler stays behind in this stage.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && python -m venv /opt/pgwarden
# The lock pins every version; the metadata of pgwarden says which of them are needed at run time.
COPY pyproject.toml hatch_build.py requirements.lock README.md LICENSE ./
COPY proxy/ proxy/
COPY policies/ policies/
RUN /opt/pgwarden/bin/pip install --constraint requirements.lock . \
    && /opt/pgwarden/bin/pip uninstall --yes pip

FROM python:3.13-slim-bookworm
# A fixed uid, so that a volume keeps its owner from image to image.
RUN groupadd --system --gid 10001 pgwarden \
    && useradd --system --uid 10001 --gid pgwarden --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin pgwarden \
    && install --directory --owner=pgwarden --group=pgwarden --mode=0700 /var/lib/pgwarden
COPY --from=build /opt/pgwarden /opt/pgwarden
ENV PATH=/opt/pgwarden/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
VOLUME /var/lib/pgwarden
EXPOSE 6432 9187
# The admin listener must then be on this port of loopback or of all addresses.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9187/healthz', timeout=2)"]
# PID 1 is pgwarden itself: it handles SIGTERM (drain), SIGHUP (reload) and reaps its workers.
STOPSIGNAL SIGTERM
ENTRYPOINT ["pgwarden"]
CMD ["serve", "--config", "/etc/pgwarden/pgwarden.yaml"]
