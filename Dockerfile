# taskpulse as an image: `docker build -t taskpulse .`
#
# Nothing in here knows a processor: on amd64 and on arm64 the same lines build
# natively, and `docker buildx build --platform linux/arm64` on an arm64 machine
# or builder makes what Amazon Bedrock AgentCore Runtime asks for.
#
# Both stages are Debian 12, so that the program finds the libc it was linked with.
#
# The image has 28 MB on amd64, 10.9 MB of it the program.
#
# What is pinned: the version of Rust, the release of Debian, and every crate by
# Cargo.lock. What is not: the bytes of both base images. Their tags move: each is
# made anew with Debian's security updates, so two builds may differ in these. For
# the same bytes each time, name both by digest:
#   --build-arg RUST=rust:1.95.0-slim-bookworm@sha256:…
#   --build-arg RUNTIME=gcr.io/distroless/cc-debian12:nonroot@sha256:…
ARG RUST=rust:1.95.0-slim-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot

# === build ===
FROM ${RUST} AS build
# A profile of Cargo's. `dev` builds in a third of the time, for trying things.
ARG PROFILE=release
# No symbols in the image; a panic still names its file and line.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_DEV_STRIP=symbols CARGO_TERM_COLOR=never
WORKDIR /src

# The dependencies, compiled against empty sources: a layer that is made anew
# only when the manifest or the lock file changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches \
 && touch src/lib.rs benches/table.rs \
 && echo 'fn main() {}' >src/main.rs \
 && cargo build --locked --profile "$PROFILE" --bin taskpulse \
 && rm -r src benches

# The program. Cargo goes by modification times, and the empty sources are newer
# than those of the checkout.
COPY src src
COPY examples examples
COPY benches benches
RUN find src examples -name '*.rs' -exec touch {} + \
 && cargo build --locked --profile "$PROFILE" --bin taskpulse \
 && install -D -m 0755 target/*/taskpulse /image/usr/local/bin/taskpulse \
 && mkdir /tasks

# === run ===
# libc, libgcc and the certificates of public authorities; no shell, no package
# manager.
FROM ${RUNTIME}
# Said again, since one from before FROM does not count after it.
ARG RUNTIME
# The commit. The build has no .git to ask.
ARG REVISION=unknown
LABEL org.opencontainers.image.title="taskpulse" \
      org.opencontainers.image.description="Long-running tasks for services and agents, every one tracked and observable" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${RUNTIME}"
COPY --from=build /image /
# For a volume with the file of TASKPULSE_STORE: an empty one takes this owner over.
COPY --from=build --chown=65532:65532 /tasks /var/lib/taskpulse
COPY LICENSE /usr/share/doc/taskpulse/LICENSE
# Loopback cannot be reached from outside a container. Said here, since not every
# runtime leaves a mark by which the program would know that it is in one.
ENV TASKPULSE_HOST=0.0.0.0
EXPOSE 8080
# Nothing is written but that file: the root may be read-only. `nonroot` of the base, as a
# number, so that Kubernetes' runAsNonRoot can tell.
USER 65532:65532
# The first check comes after one interval, so that is kept short.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/usr/local/bin/taskpulse", "ping"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/taskpulse"]
CMD ["serve"]
