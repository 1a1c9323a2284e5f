# CUDA by default:   docker build -t edgerunner .
# CPU only:          docker build -t edgerunner --build-arg BASE=python:3.12-slim --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
# With flash-attn:   add --build-arg FLASH_ATTN=1 (compiles for a long time; Ampere GPUs or newer)
# Run:               docker run --gpus all -v "$PWD:/data" edgerunner infer.py ArAE-tiny --resume pretrained/ArAE-tiny --test_path /data/meshes --workspace /data/out
ARG BASE=nvidia/cuda:13.0.1-devel-ubuntu24.04
FROM ${BASE}

# A compiler for meto, and headless OpenGL for the pictures.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        python3 python3-venv python3-dev g++ make git libegl1 libegl-mesa0 libgl1-mesa-dri \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
RUN python3 -m venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1

# Dependencies before the code, so that a change of the code does not install them again.
ARG TORCH_INDEX=""
COPY requirements.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' requirements.txt)"; fi \
    && pip install --no-cache-dir -r requirements.txt
ARG FLASH_ATTN=""
RUN if [ -n "$FLASH_ATTN" ]; then pip install --no-cache-dir ninja wheel && pip install --no-cache-dir --no-build-isolation flash-attn; fi
COPY meto ./meto
RUN pip install --no-cache-dir ./meto
COPY . .

ENTRYPOINT ["python"]
CMD ["infer.py", "--help"]
