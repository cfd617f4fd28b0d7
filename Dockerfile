# The image of api, worker and beat. Nothing in it is written at run time: data lies in
# a volume, scratch in a tmpfs. No `# syntax=` line: it would fetch a front end.
FROM python:3.13-slim-bookworm AS build
# Where packages come from when it is not PyPI. They stay in this stage.
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
ARG PIP_TRUSTED_HOST=
ENV PIP_NO_CACHE_DIR=1
WORKDIR /app
# Only what decides which packages are installed: a changed line of code keeps the layer.
COPY requirements.txt ./
COPY deploy/setup.py deploy/
COPY scanners/__init__.py scanners/environments.py scanners/
COPY scanners/locks scanners/locks
# The door of `make setup`, at the paths that the environments have at run time.
RUN SENTRASCAN_SCANNERS_DIR=/opt/scanners python deploy/setup.py \
 && chmod -R a+rX /app/.venv /opt/scanners

FROM build AS source
# Beside the environment, which is large: nothing here touches it.
WORKDIR /source
COPY . .
# A checkout made with umask 077 must not end as code that uid 10001 cannot read.
RUN chmod -R u+rwX,go=rX . \
 && export SENTRASCAN_DATA_DIR=/tmp/build SENTRASCAN_COLLECTED_STATIC=1 \
           SENTRASCAN_STATIC_DIR=/source/collected PYTHONDONTWRITEBYTECODE=1 \
 && /app/.venv/bin/python manage.py collectstatic --noinput --verbosity 0 \
 && /app/.venv/bin/python deploy/app/list_migrations.py > migrations.txt

FROM python:3.13-slim-bookworm
# The base image comes without the bytecode of its library, and a read-only root never
# gets any: each start of a tool would compile it again.
RUN python -m compileall -q -j 0 -x '/(test|tests|idlelib|site-packages)/' \
        /usr/local/lib/python3.13 \
 && groupadd --gid 10001 sentrascan \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp \
        --shell /usr/sbin/nologin sentrascan \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/sentrascan
WORKDIR /app
COPY --from=build /opt/scanners /opt/scanners
COPY --from=build /app/.venv /app/.venv
COPY --from=source /source /app
RUN python -m compileall -q -x '/\.venv/' /app \
 && for name in modelaudit mcp-checkpoint mcp-scanner; do \
        ln -s /app/deploy/tool.sh "/usr/local/bin/$name"; \
    done \
 && ln -s /app/.venv/bin/sentrascan /usr/local/bin/sentrascan
ENV PATH=/app/.venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SENTRASCAN_HOST=0.0.0.0 \
    SENTRASCAN_PORT=8200 \
    SENTRASCAN_DATA_DIR=/var/lib/sentrascan \
    SENTRASCAN_SCANNERS_DIR=/opt/scanners \
    SENTRASCAN_COLLECTED_STATIC=1 \
    SENTRASCAN_STATIC_DIR=/app/collected
USER 10001:10001
EXPOSE 8200
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/app/.venv/bin/python", "-I", "/app/deploy/app/health.py", "api"]
ENTRYPOINT ["/app/.venv/bin/python", "-I", "/app/deploy/app/entrypoint.py"]
CMD ["sentrascan", "serve"]
