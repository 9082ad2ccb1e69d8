"""Every store of ours, and every wrapper of the test kit, passes the shipped conformance suite."""

from pathlib import Path

from tenuto.store.base import Store
from tenuto.store.local import LocalStore
from tenuto.testing.store_suite import StoreContract
from tenuto.testing.stores import FaultyStore, MemoryStore, RecordingStore, SlowStore


class TestLocalStore(StoreContract):
    def make_store(self, folder: Path) -> Store:
        return LocalStore(str(folder / "store"))


class TestMemoryStore(StoreContract):
    def make_store(self, folder: Path) -> Store:
        return MemoryStore()


class TestFaultyStoreWithoutFaults(StoreContract):
    def make_store(self, folder: Path) -> Store:
        return FaultyStore(MemoryStore(), [])


class TestSlowStore(StoreContract):
    def make_store(self, folder: Path) -> Store:
        return SlowStore(MemoryStore(), lambda _call: None)


class TestRecordingStore(StoreContract):
    def make_store(self, folder: Path) -> Store:
        return RecordingStore(LocalStore(str(folder / "store")))
