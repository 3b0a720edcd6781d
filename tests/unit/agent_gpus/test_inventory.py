"""The inventory: true facts of this very host, and a hash that moves only with them."""

import os
import socket
from pathlib import Path

import msgspec
import psutil
import pytest

from remotegpu.agent import inventory
from remotegpu.agent.gpus import GpuError, NoGpus, SimulatedGpus
from remotegpu.protocol.inventory import GpuFacts, Inventory


def _gpus() -> SimulatedGpus:
    return SimulatedGpus(2, seed="host", clock=lambda: 50.0)


def test_it_tells_the_truth_about_this_host() -> None:
    found = inventory.collect(_gpus(), ssh_host_key="ssh-ed25519 AAAA", isolation="directory")
    assert found.hostname == socket.gethostname()
    assert found.kernel == os.uname().release
    assert found.cpu_threads == os.cpu_count()
    assert 1 <= found.cpu_cores <= found.cpu_threads
    assert found.memory_bytes == psutil.virtual_memory().total
    assert found.cpu_model
    assert (found.ssh_host_key, found.isolation) == ("ssh-ed25519 AAAA", "directory")
    assert len(found.gpus) == 2


def test_disks_are_real_and_listed_once() -> None:
    disks = inventory.collect(NoGpus(), ssh_host_key="", isolation="linux").disks
    assert len({disk.device for disk in disks}) == len(disks)
    for disk in disks:
        assert disk.device.startswith("/dev/")
        assert not disk.device.startswith("/dev/loop")
        assert Path(disk.mount).is_dir()
        assert disk.total_bytes > 0


def test_the_loopback_is_no_network_card() -> None:
    nics = inventory.collect(NoGpus(), ssh_host_key="", isolation="linux").nics
    assert all(nic.name != "lo" and "127.0.0.1" not in nic.addresses for nic in nics)


def test_the_hash_is_equal_for_equal_facts_and_moves_with_each_of_them() -> None:
    one = inventory.collect(_gpus(), ssh_host_key="k", isolation="linux")
    again = msgspec.json.decode(msgspec.json.encode(one), type=Inventory)
    assert inventory.inventory_hash(one) == inventory.inventory_hash(again)
    assert len(inventory.inventory_hash(one)) == 64
    for change in ({"kernel": "6.0"}, {"gpus": one.gpus[:1]}, {"ssh_host_key": "other"}):
        assert inventory.inventory_hash(msgspec.structs.replace(one, **change)) != inventory.inventory_hash(
            one
        )


def test_a_sample_carries_the_agents_clock_and_sane_ratios() -> None:
    figures = inventory.sample(_gpus(), lambda: 1234.5)
    assert figures.taken_at == 1234.5
    assert 0 <= figures.cpu_ratio <= 1
    assert 0 < figures.memory_used_bytes <= figures.memory_total_bytes
    assert [gpu.index for gpu in figures.gpus] == [0, 1]


def test_unreadable_gpus_fail_the_inventory_instead_of_vanishing_from_it() -> None:
    class Broken(NoGpus):
        def facts(self) -> list[GpuFacts]:
            raise GpuError("the driver is gone")

    with pytest.raises(GpuError, match="driver is gone"):
        inventory.collect(Broken(), ssh_host_key="", isolation="linux")
