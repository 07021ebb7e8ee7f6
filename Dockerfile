# d2a in an image: docker run --privileged -v /var/lib/d2a:/var/lib/d2a d2a run busybox -- echo hello
FROM swift:6.1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
    libarchive-dev libxml2-dev libcurl4-openssl-dev libisal-dev libzstd-dev zlib1g-dev libssl-dev libseccomp-dev libtomlplusplus-dev pkg-config make
COPY . /src
WORKDIR /src
RUN swift build -c release --static-swift-stdlib && make install DESTDIR=/out

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
    libarchive13 libxml2 libcurl4 libisal2 libzstd1 libssl3 libseccomp2 gpgv ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /out /
ENTRYPOINT ["d2a"]
