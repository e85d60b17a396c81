"""Settings of the upload API: its path and its limits."""

from dataclasses import dataclass

from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag


@dataclass(frozen=True, kw_only=True)
class UploadSettings:
    """Path and limits of uploads."""

    file_upload_api_path: str = flag(
        "/upload/{filepath}",
        "path template of the upload API",
        example="--file_upload_api_path='/v1/tenants/{tenant_id}/images/{filename}/file'",
        reader=values.upload_template,
    )
    max_upload_bytes: int = flag(
        0,
        "largest upload, 413 above; 0 means no limit but the disk",
        example="--max_upload_bytes=10GiB",
        reader=values.size,
    )
    max_uploads: int = flag(
        256, "uploads at once, 503 above", example="--max_uploads=64", reader=values.count
    )

    @property
    def template(self) -> PathTemplate:
        """The parsed --file_upload_api_path."""
        return PathTemplate.parse(self.file_upload_api_path, rest="filepath")
