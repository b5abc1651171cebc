"""The command line: names, options and help. It joins the rooms, so a command imports what it does when it
runs: `--help` waits for no torch, and the server never loads the trainer."""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

app = typer.Typer(
    name="scenebrush",
    help="Paint a label map, see the photo. Begin with: scenebrush serve",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel="What paints")]
Precision = Annotated[
    str | None, typer.Option(help="auto, fp32, bf16 or fp16.", rich_help_panel="What paints")
]
Threads = Annotated[int | None, typer.Option(help="CPU threads.", rich_help_panel="What paints")]
ModelsDir = Annotated[
    Path | None,
    typer.Option(help="Folder of further model files (.safetensors).", rich_help_panel="What paints"),
]
_UNSAID = "What a file does not say"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def _say_version(wanted: bool) -> None:
    if wanted:
        from server.version import scenebrush_version

        typer.echo(scenebrush_version())
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and leave.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    """Paint a label map, see the photo. Begin with: scenebrush serve"""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Model to use when none is named.", rich_help_panel="What paints")
    ] = None,
    models_dir: ModelsDir = None,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
    ray: Annotated[
        bool | None, typer.Option("--ray", help="Paint on many machines, by Ray Serve (docs/cluster.md).")
    ] = None,
) -> None:
    """Serve the studio, the REST interface and the live socket.

    Everything can be set by environment variables, SCENEBRUSH_HOST and so on; docs/settings.md lists them.
    Options win. Ctrl+C stops.
    """
    with _errors_said():
        from server import commands

        commands.serve(
            commands.settings_of(
                {
                    "host": host,
                    "port": port,
                    "default_model": model,
                    "models_dir": models_dir,
                    "device": device,
                    "precision": precision,
                    "threads": threads,
                    "ray": ray,
                }
            )
        )


@app.command()
def render(
    mask: Annotated[Path, typer.Argument(help="Label map: PNG or lossless WebP.", dir_okay=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Picture to write: .jpg, .png or .webp.", dir_okay=False)
    ],
    seed: Annotated[int | None, typer.Option(help="Seed of noise and light; random if not given.")] = None,
    style: Annotated[
        str | None, typer.Option(help="Name of one of the model's styles, or a style code as a JSON array.")
    ] = None,
    style_map: Annotated[
        Path | None,
        typer.Option(
            help="Which style each pixel takes: PNG, 0 for --style, k for the k-th --region-style.",
            dir_okay=False,
        ),
    ] = None,
    region_style: Annotated[
        list[str] | None,
        typer.Option(help="Style of a region, as --style; may be repeated.", metavar="NAME|CODE"),
    ] = None,
    width: Annotated[int | None, typer.Option(help="Width of the picture, in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Height of the picture, in pixels.")] = None,
    quality: Annotated[int | None, typer.Option(help="Quality of JPEG and WebP, 1 to 100.")] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="WebP without loss.")] = False,
    embed_map: Annotated[bool, typer.Option("--embed-map", help="Keep the label map in the PNG.")] = False,
    model: Annotated[str | None, typer.Option(help="Model id.", rich_help_panel="What paints")] = None,
    models_dir: ModelsDir = None,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
) -> None:
    """Paint one label map into a photo, without a server."""
    with _errors_said():
        from server import commands

        settings = commands.settings_of(
            {"models_dir": models_dir, "device": device, "precision": precision, "threads": threads}
        )
        fields: dict[str, object] = {
            "model": model,
            "seed": seed,
            "style": _style(style),
            "styles": [_style(one) for one in region_style or []],
            "width": width,
            "height": height,
            "quality": quality,
            "lossless": lossless,
            "embed_map": embed_map,
        }
        commands.render(settings, mask, output, fields, style_map)


@app.command()
def edit(
    photo: Annotated[Path, typer.Argument(help="Picture to edit: PNG, JPEG or WebP.", dir_okay=False)],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Picture to write: .png, .webp (lossless) or .jpg.", dir_okay=False
        ),
    ],
    region: Annotated[
        Path | None, typer.Option(help="Where: a mask, white on black.", dir_okay=False)
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="What stands in the region from now on, by id or name.")
    ] = None,
    new_map: Annotated[
        Path | None, typer.Option(help="Instead of one label: the label map as it shall be.", dir_okay=False)
    ] = None,
    resample: Annotated[bool, typer.Option("--resample", help="Paint the same things once more.")] = False,
    restore: Annotated[
        Path | None,
        typer.Option(help="Photo that the region is taken back from.", metavar="SOURCE", dir_okay=False),
    ] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="Label map of the picture as it is.", dir_okay=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the noise; random if not given.")] = None,
    style: Annotated[
        str | None, typer.Option(help="A style's name or code; the picture's own if not given.")
    ] = None,
    feather: Annotated[
        float | None, typer.Option(help="Pixels over which the edit fades in; 0 for a hard edge.")
    ] = None,
    blend: Annotated[str | None, typer.Option(help="pyramid, feather or poisson.")] = None,
    segmenter: Annotated[str | None, typer.Option(help="Who reads the labels if no map is given.")] = None,
    quality: Annotated[int | None, typer.Option(help="Quality of JPEG, 1 to 100.")] = None,
    embed_map: Annotated[bool, typer.Option("--embed-map", help="Keep the label map in the PNG.")] = False,
    model: Annotated[str | None, typer.Option(help="Model id.", rich_help_panel="What paints")] = None,
    models_dir: ModelsDir = None,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
) -> None:
    """Edit a region of a picture, and nothing else, without a server: --label or --new-map, --resample, or
    --restore."""
    with _errors_said():
        from server import commands, editing_commands

        files = {"image": photo, "region": region, "map": map_file, "new_map": new_map, "source": restore}
        editing_commands.edit(
            commands.settings_of(
                {"models_dir": models_dir, "device": device, "precision": precision, "threads": threads}
            ),
            output,
            {name: path for name, path in files.items() if path is not None},
            {
                "action": "restore" if restore else "resample" if resample else "relabel",
                "label": label,
                "seed": seed,
                "style": _style(style),
                "feather": feather,
                "blend": blend,
                "segmenter": segmenter,
                "quality": quality,
                "embed_map": embed_map,
                "model": model,
            },
        )


@app.command()
def segment(
    photo: Annotated[Path, typer.Argument(help="Photo: PNG, JPEG or WebP.", dir_okay=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Label map to write, .png.", dir_okay=False)],
    model: Annotated[str | None, typer.Option(help="Model whose labels the map has.")] = None,
    segmenter: Annotated[str | None, typer.Option(help="Segmenter id, such as ade20k.")] = None,
    max_side: Annotated[int | None, typer.Option(help="Longest side of the map, in pixels.")] = None,
    models_dir: ModelsDir = None,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
) -> None:
    """Read a photo's label map, without a server."""
    with _errors_said():
        from server import commands, editing_commands

        settings = commands.settings_of(
            {"models_dir": models_dir, "device": device, "precision": precision, "threads": threads}
        )
        fields: dict[str, object] = {"model": model, "segmenter": segmenter, "max_side": max_side}
        editing_commands.segment(settings, photo, output, fields)


segmenter_app = typer.Typer(help="The pretrained segmenter, which is optional.", no_args_is_help=True)
app.add_typer(segmenter_app, name="segmenter")


@segmenter_app.command("fetch")
def segmenter_fetch(
    force: Annotated[bool, typer.Option("--force", help="Fetch it again.")] = False,
) -> None:
    """Download the pretrained ADE20K segmenter, about 240 MB, from huggingface.co. Nothing else ever does."""
    with _errors_said():
        from server import commands, editing_commands

        editing_commands.fetch(commands.settings_of({}), force=force)


token_app = typer.Typer(
    help="Tokens for a server that asks for them (SCENEBRUSH_REQUIRE_TOKEN).", no_args_is_help=True
)
app.add_typer(token_app, name="token")


@token_app.command("add")
def token_add(
    name: Annotated[str, typer.Argument(help="Whose it is: a person or a program.")],
    days: Annotated[int | None, typer.Option(help="Days after which it ends.", min=1, max=36500)] = None,
) -> None:
    """Give out a token, and print it: it is shown this once."""
    with _errors_said():
        from server.guard import commands
        from server.settings import Settings

        commands.add(Settings(), name, days)


@token_app.command("list")
def token_list(as_json: AsJson = False) -> None:
    """List the tokens that hold: their ids and names, never the tokens themselves."""
    with _errors_said():
        from server.guard import commands
        from server.settings import Settings

        commands.list_tokens(Settings(), as_json=as_json)


@token_app.command("revoke")
def token_revoke(
    token: Annotated[str, typer.Argument(metavar="ID|NAME", help="Which, as `token list` shows it.")],
) -> None:
    """Take a token back. Running servers close its live connections in a few seconds."""
    with _errors_said():
        from server.guard import commands
        from server.settings import Settings

        commands.revoke(Settings(), token)


@app.command()
def models(models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """List the models at hand."""
    with _errors_said():
        from server import commands

        commands.list_models(commands.settings_of({"models_dir": models_dir}), as_json=as_json)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="Model file (.safetensors).", exists=True, dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Show what a model file says about itself. Reads its header only, and runs nothing of it."""
    with _errors_said():
        from server import commands

        commands.inspect(file, as_json=as_json)


@app.command("bench-load")
def bench_load(
    url: Annotated[str, typer.Argument(help="Address of a running server, such as http://127.0.0.1:8000.")],
    painters: Annotated[int, typer.Option(help="Painters at once.", min=1)] = 50,
    curve: Annotated[
        str | None, typer.Option(help="Numbers of painters, one after the other, such as 1,2,4,8.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long; with --curve, each of its steps.")] = 1200.0,
    ramp: Annotated[float, typer.Option(help="Seconds over which newcomers come.")] = 5.0,
    size: Annotated[int, typer.Option(help="Side of the canvases, in pixels.", min=1)] = 256,
    rest: Annotated[int, typer.Option(help="REST clients beside the painters.", min=0)] = 0,
    model: Annotated[str | None, typer.Option(help="Model id; the server's default if not given.")] = None,
    think: Annotated[float, typer.Option(help="Pauses between strokes, times those recorded.", min=0)] = 1.0,
    seed: Annotated[int, typer.Option(help="Another run of the same kind.", min=0)] = 1,
    token: Annotated[
        str | None, typer.Option(help="Token, where the server wants one.", envvar="SCENEBRUSH_TOKEN")
    ] = None,
    pid: Annotated[int | None, typer.Option(help="The server's process here: its memory is watched.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File to write the results to.", dir_okay=False)
    ] = None,
    demand: Annotated[
        str, typer.Option(help="Conditions for leaving with 0: errors=0,jain>=0.95,every=frames.")
    ] = "",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Load another machine's server, which is yours to load.")
    ] = False,
) -> None:
    """Load a running server with painters that replay strokes, and say how it held.

    What every figure means stands in docs/benchmarks.md.
    """
    with _errors_said():
        from server.loadtool import command
        from server.loadtool.run import Plan
        from server.loadtool.target import target_of

        target = target_of(url, token=token, allow_remote=allow_remote)
        plan = Plan(command.stages_of(painters, curve), seconds, ramp, size, rest, model, seed, think)
        if not command.bench_load(target, plan, pid=pid, json_file=json_file, demand=demand):
            raise typer.Exit(1)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder of images/ and labels/, or of .tar shards of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; continued if it exists.")],
    recipe: Annotated[
        str, typer.Option(help="What to train: a recipe that comes with the program, or a .toml file.")
    ] = "builtin",
    pictures: Annotated[int | None, typer.Option(help="Pictures to train on, repeats included.")] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Label set to train on: a built-in one, or a file; what DATA says, if not given."),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="A value of the recipe; may be repeated.", metavar="SECTION.NAME=VALUE"),
    ] = None,
    precision: Annotated[str, typer.Option(help="bf16-mixed or 32-true.")] = "bf16-mixed",
    accelerator: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Processes that share each batch, one a device.", min=1)] = 1,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    workers: Annotated[
        int | None, typer.Option(help="Threads that read pictures ahead; chosen if not given.", min=0)
    ] = None,
    layout: Annotated[str, typer.Option(help="How the files of DATA lie; found out if not given.")] = "auto",
) -> None:
    """Train a model on your own pictures and label maps."""
    overrides = [*(values or []), *([f"run.pictures={pictures}"] if pictures is not None else [])]
    with _errors_said():
        from training.cli import train as run_training
        from training.recipe import load_recipe

        try:
            run_training(
                data,
                out,
                recipe=load_recipe(recipe, overrides),
                labels=labels,
                precision=precision,
                accelerator=accelerator,
                devices=devices,
                threads=threads,
                workers=workers,
                layout=layout,
            )
        except (ValueError, RuntimeError) as error:
            # The trainer's own errors speak to people; others have a traceback to offer.
            if type(error).__module__.startswith("training.") or type(error) is ValueError:
                _fail(str(error), "", "")
            raise


data_app = typer.Typer(help="Look at training data.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command("check")
def data_check(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="A set of pictures and label maps.")],
    labels: Annotated[
        str | None,
        typer.Option(
            help="Label set of the maps: a built-in one, or a file; what the set says, if not given."
        ),
    ] = None,
    layout: Annotated[str, typer.Option(help="How its files lie; found out if not given.")] = "auto",
    sheet: Annotated[
        Path | None, typer.Option(help="Picture to write: the first pairs.", dir_okay=False)
    ] = None,
    count: Annotated[int, typer.Option(help="Pairs on the sheet.", min=1)] = 24,
    as_json: AsJson = False,
) -> None:
    """Read a whole set once: pairs, sizes, classes, and what cannot be used. Leaves with 1 if anything is."""
    with _errors_said():
        from rich.console import Console

        from training import datacheck

        try:
            report, listing = datacheck.check(
                source, layout, datacheck.label_set_named(labels) if labels else None
            )
            if sheet:
                datacheck.sheet(listing, count).save(sheet)
        except ValueError as error:
            _fail(str(error), "", "")
        if as_json:
            typer.echo(json.dumps(report.to_json(), indent=1))
        else:
            datacheck.say(report, Console(markup=False))
        if not report.usable:
            raise typer.Exit(1)


@app.command()
def evaluate(
    models: Annotated[list[Path], typer.Argument(help="Model files (.safetensors), one or several.")],
    data: Annotated[Path, typer.Argument(help="Folder of images/ and labels/, or of .tar shards of them.")],
    judge: Annotated[Path, typer.Option(help="Segmenter that reads the pictures (.safetensors).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("evaluation"),
    split: Annotated[
        str, typer.Option(help="validation to choose by, test for the final figures, or train.")
    ] = "validation",
    limit: Annotated[int | None, typer.Option(help="Only the first so many pictures.")] = None,
    layout: Annotated[str, typer.Option(help="How the data's files lie, see docs/data.md.")] = "auto",
    training: Annotated[bool, typer.Option(help="Compare with the training pictures too.")] = True,
    painted: Annotated[int, typer.Option(help="Crude maps to paint as well.", min=0)] = 0,
    maps: Annotated[int, typer.Option(help="Maps painted with several seeds.")] = 10,
    seeds: Annotated[int, typer.Option(help="Seeds for each of them.")] = 10,
    resamples: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 1_000,
    shown: Annotated[int, typer.Option(help="Pictures in the report.", min=0)] = 24,
    inception: Annotated[
        str | None,
        typer.Option(help="Published Inception weights, for FID: a file, or 'download'.", metavar="FILE"),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    plain: Annotated[
        bool, typer.Option("--plain", help="Paint with the plain networks: slow, float32.")
    ] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Measure how good models' pictures are: a table, metrics.json and a report of one HTML file.

    What every figure means stands in docs/evaluation.md.
    """
    with _errors_said():
        from rich.console import Console

        from training.evaluation.command import Request, split_named
        from training.evaluation.command import evaluate as run_evaluation

        try:
            request = Request(
                models=models,
                judge=judge,
                data=data,
                split=split_named(split),
                limit=limit,
                layout=layout,
                training=training,
                painted=painted,
                maps=maps,
                seeds=seeds,
                resamples=resamples,
                shown=shown,
                inception=inception,
                device=device,
                precision=precision,
                plain=plain,
                threads=threads,
            )
            run_evaluation(request, out, Console(), markdown)
        except ValueError as error:
            if type(error).__module__.startswith("training."):
                _fail(str(error), "", "")
            raise


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="Public checkpoint: latest_net_G.pth (SPADE) or best_EMA.pth (OASIS).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model to write, .safetensors.")],
    encoder: Annotated[
        Path | None, typer.Option(help="Encoder of a SPADE model with a VAE: latest_net_E.pth.")
    ] = None,
    model_id: Annotated[
        str | None, typer.Option("--id", help="Model id; from the output's name if not given.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name for people.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the weights; the original project's if not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    labels: Annotated[
        str | None,
        typer.Option(
            help="How many labels, or which: a built-in label set, or a .json or .toml file.",
            metavar="NUMBER|SET|FILE",
            rich_help_panel=_UNSAID,
        ),
    ] = None,
    dont_care: Annotated[
        bool | None,
        typer.Option("--dont-care/--no-dont-care", help="One more label is none.", rich_help_panel=_UNSAID),
    ] = None,
    instance: Annotated[
        bool | None,
        typer.Option("--instance/--no-instance", help="Instance edges follow.", rich_help_panel=_UNSAID),
    ] = None,
    upsampling: Annotated[
        str | None, typer.Option(help="SPADE's: normal, more or most.", rich_help_panel=_UNSAID)
    ] = None,
    z_dim: Annotated[int | None, typer.Option(help="Length of OASIS's z.", rich_help_panel=_UNSAID)] = None,
    size: Annotated[
        int | None, typer.Option(help="Width of the training pictures, in pixels.", rich_help_panel=_UNSAID)
    ] = None,
    aspect: Annotated[
        float | None, typer.Option(help="Their width / height; 1 if not given.", rich_help_panel=_UNSAID)
    ] = None,
) -> None:
    """Make a model of a public SPADE or OASIS checkpoint. Nothing in the file is run.

    The published COCO-Stuff, ADE20K and Cityscapes models need no options. Of others, a file says only a
    part: what can be read in several ways is an error that lists them.
    """
    with _errors_said():
        from server import commands

        commands.import_checkpoint(
            file,
            output,
            {
                "labels": labels,
                "dont_care": dont_care,
                "instance": instance,
                "upsampling": upsampling,
                "z_dim": z_dim,
                "size": size,
                "aspect": aspect,
            },
            encoder=encoder,
            model_id=model_id,
            name=name,
            licence=licence,
            force=force,
        )


def _style(text: str | None) -> Any:
    """A style's name, or its code."""
    return _json(text) if text and text.lstrip().startswith("[") else text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        _fail(f"{text!r} is not JSON", "", "Quote it for the shell: '[0.1, -1.2]'")


@contextmanager
def _errors_said() -> Generator[None]:
    """Say what went wrong in words; a traceback is for errors of ours only."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        from server.commands import in_words

        said = in_words(error)
        if said is None:
            raise
        _fail(*said)


def _fail(what: str, why: str, next_step: str) -> NoReturn:
    typer.secho(f"error: {what}", fg="red", bold=True, err=True)
    for line in (why, next_step):
        if line:
            typer.echo(f"  {line}", err=True)
    raise typer.Exit(1)
