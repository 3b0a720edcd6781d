"""A host without NVML: it has no GPU that RemoteGPU can lease."""

from remotegpu.protocol.inventory import GpuFacts, GpuSample


class NoGpus:
    """Says so, truthfully."""

    def facts(self) -> list[GpuFacts]:
        return []

    def samples(self) -> list[GpuSample]:
        return []

    def driver(self) -> tuple[str | None, str | None]:
        return None, None

    def close(self) -> None:
        """Nothing was opened."""
