# Two stages: the encoder is exported with torch, the image that serves never sees it.
FROM python:3.11-slim AS export
WORKDIR /build
COPY requirements-export.lock ./
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r requirements-export.lock
COPY cache ./cache
RUN python -m cache.export --out /encoder

FROM python:3.11-slim
WORKDIR /srv
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY app ./app
COPY cache ./cache
COPY router ./router
COPY eval ./eval
COPY data ./data
COPY --from=export /encoder /srv/encoder
RUN useradd --create-home --uid 10001 thriftgate && mkdir /data && chown thriftgate /data
USER thriftgate
VOLUME /data
EXPOSE 8080
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/ready')"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["--config", "/etc/thriftgate/thriftgate.toml", "serve", "--host", "0.0.0.0", "--data-dir", "/data"]
