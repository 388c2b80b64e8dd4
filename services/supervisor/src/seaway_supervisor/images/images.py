"""The images of this host: what the supervisor's image calls do.

    images/index.db     which images there are                       index.py
    images/blobs/       what they were received as                   content.py
    images/ingest/      what is being received
    images/layers/      what containers run on                       layers.py
    images/trash/       what is being deleted

A name becomes visible, and an image with it, in one transaction, when everything below it is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from seaway_oci import image_config, reference
from seaway_oci import platform as platforms
from seaway_oci.image_config import ImageConfig
from seaway_oci.platform import Platform
from seaway_oci.reference import InvalidReference, Reference
from seaway_protocol import supervisor as wire
from seaway_protocol.errors import InvalidArgument, NotFound
from seaway_protocol.kinds import Event, Message
from seaway_protocol.types import Image, Progress

from seaway_supervisor.difference import Difference
from seaway_supervisor.images import check, describe, merged, removal, save
from seaway_supervisor.images.collect import Collector
from seaway_supervisor.images.content import Content
from seaway_supervisor.images.imports import Importer
from seaway_supervisor.images.index import Index, Name, Row
from seaway_supervisor.images.layers import Layers
from seaway_supervisor.images.leases import Leases
from seaway_supervisor.images.load import Loader
from seaway_supervisor.images.pull import Fetched, Puller
from seaway_supervisor.images.removal import Uses
from seaway_supervisor.images.save import Saved
from seaway_supervisor.images.settings import ImageSettings
from seaway_supervisor.images.workers import Workers

Announce = Callable[[Event[Any], str, Message], Awaitable[None]]
InUse = Callable[[], Mapping[str, Uses]]
Tell = Callable[[Progress], None]

_CONFIGS_HELD = 256


class Images:
    """All images, and what can be done with them."""

    def __init__(self, root: Path, settings: ImageSettings, announce: Announce, in_use: InUse) -> None:
        self._root = root
        self._settings = settings
        self._announce = announce
        self._in_use = in_use
        self._leases = Leases()
        self._content = Content(root)
        self._workers = Workers(settings.unpackers)
        self._configs: dict[str, ImageConfig] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Make the directories and open the index; what an earlier process left is put right behind.

        Takes as long with a thousand images as with none.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        self._content.open()
        self._index = Index(self._root / "index.db")
        self._layers = Layers(self._root, self._index, self._workers, self._settings)
        self._layers.open()
        self._puller = Puller(self._index, self._content, self._layers, self._leases, self._settings)
        parts = (self._index, self._content, self._layers, self._leases, self._workers)
        self._loader, self._importer = Loader(self._root, *parts), Importer(self._root, *parts)
        self._collector = Collector(
            self._index, self._content, self._layers, self._leases, self._in_use, self._settings.kept_seconds
        )
        await self._layers.restore(self._content)
        self._behind(self._clean())

    async def close(self) -> None:
        """Give up what is under way and close everything."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._puller.close()
        await self._layers.close()
        await self._workers.close()
        await self._index.close()

    # --- looking -----------------------------------------------------------------------------------------------------

    def id_of(self, text: str) -> str:
        """The id of the image that a name, an id or the beginning of an id means.

        Raises NotFound, or Conflict where several ids begin so.
        """
        digits = text.removeprefix("sha256:")
        is_id = bool(digits) and not set(digits) - set("0123456789abcdef")
        if is_id and len(digits) == 64 and self._index.has(f"sha256:{digits}"):
            return f"sha256:{digits}"
        if not text.startswith("sha256:") and (name := self._name_of(text)):
            return name.image
        if is_id and (found := self._index.by_prefix(digits)):
            return found
        raise NotFound(f"no such image: {text}")

    def _name_of(self, text: str) -> Name | None:
        """The name that a text is, as the index has it."""
        try:
            parsed = reference.parse(text).tagged()
        except InvalidReference:
            return None
        canonical = str(replace(parsed, tag="") if parsed.digest else parsed)
        image = self._index.named(canonical)
        return Name(canonical, image, "digest" if parsed.digest else "tag", parsed.name, 0) if image else None

    async def resolve(self, text: str) -> Image:
        """The image that a name, an id or the beginning of an id means. Raises NotFound, Conflict."""
        return self._describe(self._index.image(self.id_of(text)))

    def config(self, image_id: str) -> ImageConfig:
        """An image's configuration, by full id. Raises NotFound."""
        if image_id not in self._configs:
            if len(self._configs) >= _CONFIGS_HELD:
                self._configs.clear()
            self._configs[image_id] = image_config.parse(self._config_bytes(image_id))
        return self._configs[image_id]

    def layers(self, image_id: str) -> tuple[Path, ...]:
        """The directories of an image's layers, topmost first, as overlayfs takes them: each once.

        An image may list a layer twice; under a later occurrence an earlier one can't be seen.
        """
        parts = self._index.parts(image_id)
        return tuple(dict.fromkeys(self._layers.path(part.diff_id) for part in reversed(parts)))

    async def read_file(self, image_id: str, path: str) -> bytes | None:
        """A file as a new container of the image has it, None where it isn't there or no regular file."""
        return merged.read_file(self.layers(image_id), path)

    async def inspect(self, request: wire.ImageReference) -> Image:
        """`image_inspect`."""
        return await self.resolve(request.image)

    async def list(self, request: wire.ListImages) -> wire.Images:
        """`image_list`: one page."""
        rows = self._index.images()
        if request.after:
            position = next((at for at, row in enumerate(rows) if row.id == request.after), -1)
            rows = rows[position + 1 :]
        names = describe.by_image(self._index.names())
        uses = self._in_use() if request.containers else None
        images: list[Image] = []
        room = describe.PAGE
        for row in rows:
            image = self._describe(row, names.get(row.id, []))
            if uses is not None:
                image = msgspec.structs.replace(image, containers=len(uses.get(row.id, ())))
            room -= describe.weight(image)
            if room < 0 and images:
                return wire.Images(images=tuple(images), more=True)
            images.append(image)
        return wire.Images(images=tuple(images))

    def usage(self) -> tuple[int, tuple[Image, ...]]:
        """For `disk_usage`: the bytes of all layers, and every image with what it shares with others."""
        shared = self._index.shared()
        sizes = {diff_id: row.size for diff_id, row in self._index.layers().items()}
        images = []
        for row in self._index.images():
            mine = {part.diff_id for part in self._index.parts(row.id)}
            size = sum(sizes.get(diff_id, 0) for diff_id in mine if diff_id in shared)
            count = len(self._in_use().get(row.id, ()))
            images.append(msgspec.structs.replace(self._describe(row), shared_size=size, containers=count))
        return sum(sizes.values()), tuple(images)

    def layers_held(self) -> tuple[int, int]:
        """How many layers there are, and their bytes."""
        sizes = [row.size for row in self._index.layers().values()]
        return len(sizes), sum(sizes)

    def count(self) -> int:
        """How many images there are, for `info`."""
        return len(self._index.images())

    def _describe(self, row: Row, names: Sequence[Name] | None = None) -> Image:
        names = self._index.names(row.id) if names is None else names
        sizes = [layer.size for layer in self._index.layers_of(row.id)]
        return describe.image(row, names, self.config(row.id), self._config_bytes(row.id), sizes)

    def _config_bytes(self, image_id: str) -> bytes:
        try:
            return self._content.read(image_id)
        except (FileNotFoundError, ValueError):
            raise NotFound(f"no such image: {image_id}") from None

    # --- pulling -----------------------------------------------------------------------------------------------------

    async def pull(self, request: wire.Pull, progress: Tell = lambda progress: None) -> wire.Pulled:
        """`pull`. Cancelled, it leaves nothing but what the next attempt needn't fetch again."""
        parsed = _parse(request.reference)
        wanted = _platform(request.platform)
        if request.all_tags:
            return await self._pull_all(parsed, wanted, request, progress)
        return await self._pull_one(parsed.tagged(), wanted, request, progress)

    async def _pull_all(
        self, parsed: Reference, wanted: Platform | None, request: wire.Pull, progress: Tell
    ) -> wire.Pulled:
        if parsed.target:
            raise InvalidArgument(f"cannot pull all tags of {request.reference}: it names one already")
        tags = await self._puller.tags(parsed, request.auth)
        pulled = [await self._pull_one(parsed.by_tag(tag), wanted, request, progress) for tag in tags]
        if not pulled:
            raise NotFound(f"cannot pull all tags of {parsed.familiar}: it has none")
        return msgspec.structs.replace(pulled[-1], changed=any(each.changed for each in pulled))

    async def _pull_one(
        self, parsed: Reference, wanted: Platform | None, request: wire.Pull, progress: Tell
    ) -> wire.Pulled:
        try:
            fetched: Fetched = await self._puller.pull(parsed, wanted, request.auth, progress)
        except BaseException:
            self._behind(self.collect())
            raise
        self._behind(self._settle())
        await self._happened(wire.image_pulled, fetched.id, parsed.familiar)
        return wire.Pulled(id=fetched.id, digest=fetched.digest, reference=parsed.familiar, changed=fetched.changed)

    # --- archives ----------------------------------------------------------------------------------------------------

    async def load(
        self, chunks: AsyncIterator[bytes], request: wire.Load, progress: Tell = lambda progress: None
    ) -> wire.Loaded:
        """`image_load`, with the bytes of the archive."""
        try:
            loaded = await self._loader.load(chunks, (lambda progress: None) if request.quiet else progress)
        finally:
            self._behind(self._clean())
        for id, names in loaded:
            await self._happened(wire.image_loaded, id, names[0] if names else id)
        return wire.Loaded(references=tuple(name for id, names in loaded for name in names or (id,)))

    async def import_(self, chunks: AsyncIterator[bytes], request: wire.Import) -> wire.Imported:
        """`image_import`, with the bytes of the file tree's tar."""
        name = _parse(request.reference).tagged() if request.reference else None
        if name and name.digest:
            raise InvalidArgument(f"cannot import an image as {request.reference}: a digest can't be given")
        platform = _platform(request.platform) or platforms.host()
        try:
            id = await self._importer.import_(chunks, name, platform, request.changes, request.message)
        finally:
            self._behind(self._clean())
        await self._happened(wire.image_imported, id, name.familiar if name else id)
        return wire.Imported(id=id)

    async def save(self, request: wire.Save) -> AsyncIterator[bytes]:
        """`image_save`: the bytes of the archive. Raises NotFound before there is one."""
        found: dict[str, dict[Reference, None]] = {}
        for text in request.images:
            for id, names in self._to_save(text).items():
                found.setdefault(id, {}).update(dict.fromkeys(names))
        images = [Saved(self._index.image(id), self._index.parts(id), tuple(names)) for id, names in found.items()]
        return self._save(images)

    async def _save(self, images: Sequence[Saved]) -> AsyncIterator[bytes]:
        with self._leases.hold() as lease:
            lease.add(save.blobs_of(images))
            async for piece in save.archive(images, self._content):
                yield piece
        for image in images:
            await self._happened(wire.image_saved, image.row.id, image.row.id)

    def _to_save(self, text: str) -> dict[str, Sequence[Reference]]:
        """The images that a text means, and under which names; a repository without a tag means all of its tags."""
        names = [name for name in self._index.names() if name.kind == "tag"]
        with contextlib.suppress(InvalidReference):
            parsed = reference.parse(text)
            if not parsed.target and any(name.repository == parsed.name for name in names):
                tagged = [name for name in names if name.repository == parsed.name]
                return {each.image: _references(tagged, each.image) for each in tagged}
        id = self.id_of(text)
        given = self._name_of(text) if _is_name(text, id) else None
        return {id: [reference.parse(given.reference)] if given and given.kind == "tag" else []}

    # --- naming and removing -----------------------------------------------------------------------------------------

    async def tag(self, request: wire.Tag) -> None:
        """`image_tag`."""
        image = self.id_of(request.image)
        parsed = _parse(request.reference)
        if parsed.digest:
            raise InvalidArgument(f"refusing to create a tag with a digest reference: {request.reference}")
        parsed = parsed.tagged()
        async with self._changing:
            self._index.image(image)
            await self._index.name([Name(str(parsed), image, "tag", parsed.name, time.time_ns())])
        await self._happened(wire.image_tagged, image, parsed.familiar)

    async def remove(self, request: wire.RemoveImage) -> wire.RemovedImage:
        """`image_remove`."""
        async with self._changing:
            image = self.id_of(request.image)
            names = self._index.names(image)
            uses = self._in_use().get(image, ())
            given = self._name_of(request.image) if _is_name(request.image, image) else None
            if given and given.image == image:
                plan = removal.by_name(given, names, uses, force=request.force)
            else:
                plan = removal.by_id(image, names, uses, force=request.force)
            labels = self.config(image).config.labels
            removed = await self._carry_out(image, plan, labels)
        self._behind(self.collect())
        return removed

    async def _carry_out(self, image: str, plan: removal.Removal, labels: dict[str, str]) -> wire.RemovedImage:
        if plan.delete:
            await self._index.drop_image(image, hide=plan.hide)
        else:
            await self._index.unname(name.reference for name in plan.unname)
        untagged = tuple(reference.parse(name.reference).familiar for name in plan.unname)
        for name in untagged:
            await self._happened(wire.image_untagged, image, name, labels)
        if plan.delete:
            await self._happened(wire.image_deleted, image, image, labels)
        return wire.RemovedImage(untagged=untagged, deleted=(image,) if plan.delete else ())

    async def prune(self, request: wire.PruneImages) -> wire.Pruned:
        """`image_prune`. What broken-off pulls left goes too."""
        gone: list[str] = []
        async with self._changing:
            uses, names = self._in_use(), describe.by_image(self._index.names())
            for row in self._index.images():
                mine = names.get(row.id, [])
                if row.id in uses or not self._is_prunable(row, mine, request):
                    continue
                plan = removal.Removal(tuple(mine), delete=True)
                removed = await self._carry_out(row.id, plan, self.config(row.id).config.labels)
                gone += [*removed.untagged, *removed.deleted]
        freed = await self._collector.collect(all=True)
        return wire.Pruned(removed=tuple(gone), freed=freed)

    def _is_prunable(self, row: Row, names: Sequence[Name], request: wire.PruneImages) -> bool:
        if not request.all and any(name.kind == "tag" for name in names):
            return False
        if request.until and row.created_at >= request.until:
            return False
        labels = self.config(row.id).config.labels
        wanted = all(describe.has_label(labels, each) for each in request.labels)
        return wanted and not any(describe.has_label(labels, each) for each in request.not_labels)

    async def differences(self) -> Sequence[Difference]:
        """What differs between the index and the files."""
        return await check.look(self._index, self._content, self._layers, self._leases, self._settings.kept_seconds)

    async def wrong_blobs(self) -> Sequence[Difference]:
        """The blobs whose content isn't what their digest says."""
        return await check.wrong(self._index, self._content, self._layers)

    async def collect(self) -> None:
        """Delete what nothing leads to any more. Also to be called after containers were removed."""
        await self._collector.collect()

    # --- how ---------------------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        await self._layers.settle()

    async def _clean(self) -> None:
        await self.collect()
        await self._settle()

    async def _happened(
        self, event: Event[wire.ImageHappened], image: str, name: str, labels: dict[str, str] | None = None
    ) -> None:
        labels = self.config(image).config.labels if labels is None else labels
        await self._announce(event, image, wire.ImageHappened(name=name, labels=labels))

    def _behind(self, work: Any) -> None:
        """Do something after the answer."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _references(names: Sequence[Name], image: str) -> Sequence[Reference]:
    return [reference.parse(name.reference) for name in names if name.image == image]


def _parse(text: str) -> Reference:
    try:
        return reference.parse(text)
    except InvalidReference as error:
        raise InvalidArgument(str(error)) from None


def _platform(text: str) -> Platform | None:
    if not text:
        return None
    try:
        return platforms.parse(text)
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


def _is_name(text: str, image: str) -> bool:
    """Whether a text that meant an image was a name of it and not the beginning of its id."""
    return not image.startswith(f"sha256:{text.removeprefix('sha256:')}")
