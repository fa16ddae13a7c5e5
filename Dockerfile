# Integrator's image: Airflow, its providers and Integrator, all pinned and checked by hash.
FROM python:3.12-slim-bookworm AS wheel
WORKDIR /build
COPY requirements-build.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r requirements-build.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY plugins/integrator plugins/integrator
RUN hatchling build -t wheel

FROM python:3.12-slim-bookworm
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    AIRFLOW_HOME=/opt/integrator \
    HOME=/opt/integrator \
    USER=integrator
COPY requirements.txt /tmp/requirements.txt
# The lock is complete, so nothing is left to resolve.
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r /tmp/requirements.txt \
    && rm /tmp/requirements.txt
COPY --from=wheel /build/dist/*.whl /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps /tmp/*.whl \
    && rm /tmp/*.whl \
    && useradd --uid 50000 --gid 0 --no-create-home --home-dir /opt/integrator --shell /usr/sbin/nologin integrator \
    && mkdir -p /opt/integrator/dags /opt/integrator/logs /opt/integrator/plugins /opt/integrator/include \
    && chown -R 50000:0 /opt/integrator \
    && chmod -R g=u /opt/integrator
COPY deploy/webserver_config.py deploy/healthy.py /opt/integrator/
WORKDIR /opt/integrator
USER 50000:0
EXPOSE 8080
ENTRYPOINT ["python", "-m"]
CMD ["airflow", "version"]
