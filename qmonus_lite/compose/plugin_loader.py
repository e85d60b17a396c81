"""The loader of the plugin folders, for the processes and commands that read plugins."""

from qmonus_lite.auth.sealing import Opener, opener_of
from qmonus_lite.catalog.builders import BuildContext
from qmonus_lite.catalog.loader import Loader
from qmonus_lite.compose.plugin_folders import missing_plugin_folders
from qmonus_lite.data_format import read_format
from qmonus_lite.errors import BadResource
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.scripting.builtins.names import granted
from qmonus_lite.scripting.options import Options
from qmonus_lite.settings.table import Settings


def make_loader(settings: Settings, sealer: Opener, callout: object) -> Loader:
    """The loader of the plugin folders; raises BadResource for a missing folder."""
    for fault in missing_plugin_folders(settings):
        raise BadResource(fault)
    template = settings.uploads.template
    context = BuildContext(
        names=granted(callout=callout, options=Options(settings)),
        sealer=sealer,
        reserved=lambda public: _reserved(public, template),
        question_limit=settings.events.lambda_sync_timeout,
    )
    return Loader(settings.plugin_dirs, context)


def make_reading_loader(settings: Settings) -> Loader:
    """The loader of a command, which makes nothing on disk; raises BadResource."""
    directory = settings.storage.state_dir
    # Raises for the format of a newer version.
    read_format(directory)
    return make_loader(settings, opener_of(directory), callout=None)


def _reserved(public: PathTemplate, upload: PathTemplate) -> str | None:
    """Reason why a route cannot have this path, or None."""
    if public.text == "/-" or public.text.startswith(("/-/", "/{")):
        return "could take paths under /-/, which are APIGW's own"
    if upload.match(public.text):
        return f"is taken by --file_upload_api_path={upload.text}"
    return None
