# d2a in an image, as rkt: docker run --privileged --rm -v /mnt:/var/lib/rkt d2a fetch URL
#
# BUILDER has Swift 6.1 on Debian 12; or Debian 12 is enough, with PACKAGE, a package of d2a that `make deb` made (.build/packages/….deb).
# BASE is what the result lies on: nothing is needed. No registry is needed where both are images of this machine.
ARG BUILDER=swift:6.1-bookworm
ARG BASE=scratch

FROM ${BUILDER} AS build
ARG PACKAGE=
WORKDIR /src
COPY . .
RUN scripts/image-root /image $PACKAGE

FROM ${BASE}
COPY --from=build /image /
# As Rocket was in December 2014: IDs by SHA-256, and no signatures; -e D2A_INSECURE_OPTIONS=none asks for them.
ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin D2A_HASH=sha256 D2A_INSECURE_OPTIONS=image
VOLUME /var/lib/rkt
ENTRYPOINT ["rkt"]
CMD []
