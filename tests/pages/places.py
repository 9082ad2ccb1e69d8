"""The pages that are looked at one by one, and who looks."""

from tests.pages.world import World

PLACES: dict[str, str] = {
    "home": "/",
    "search": "/models?search=list&sort=likes",
    "datasets": "/datasets?gated=true",
    "profile": "/{owner}",
    "model": "/{model}",
    "adapters": "/{adapters}",
    "dataset": "/datasets/{dataset}",
    "gated": "/datasets/{gated}",
    "files": "/{model}/tree/main",
    "folder": "/{adapters}/tree/main/jazz",
    "text": "/{model}/blob/main/listener.py",
    "json": "/{model}/blob/main/config.json",
    "csv": "/{model}/blob/main/results/scores.csv",
    "parquet": "/datasets/{dataset}/blob/main/data/train-00000-of-00001.parquet",
    "json lines": "/datasets/{dataset}/blob/main/data/notes.jsonl",
    "markdown": "/{model}/blob/main/README.md",
    "tensors": "/{model}/blob/main/model.safetensors",
    "sound": "/{model}/blob/main/sounds/dawn.wav",
    "picture": "/{model}/blob/main/picture.png",
    "history": "/{model}/commits/main",
    "commit": "/{model}/commit/main",
    "compare": "/{model}/compare?from=main&to=main",
    "data": "/datasets/{dataset}/insights",
    "training": "/{adapters}/insights?path=jazz",
    "discussions": "/{model}/discussions",
    "discussion": "/{model}/discussions/1",
    "nothing": "/{owner}/none",
    "sign in": "/login",
    "device": "/oauth/authorize-device?user_code=BCDF-GHJK",
}
OWN: dict[str, str] = {
    "edit": "/{model}/edit/main/README.md",
    "upload": "/{model}/upload/main/sounds",
    "own": "/{private}",
    "new": "/new",
    "settings": "/{private}/settings",
    "log": "/{model}/audit",
    "storage": "/{model}/storage",
    "account": "/settings",
    "tokens": "/settings/tokens",
    "services": "/settings/services",
    "new organization": "/organizations/new",
    "account storage": "/settings/storage",
    "requests": "/datasets/{gated}/access?state=all",
}
ASKED: dict[str, str] = {"access": "/datasets/{gated}"}


def place(pattern: str, world: World) -> str:
    return pattern.format(**world._asdict())
