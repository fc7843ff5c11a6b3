"""What messages advise, done: commands between backticks, or those of `rio` in the text."""

import re
import shlex

from click.testing import CliRunner
from rasterio.rio.main import main_group

_LOOP = re.compile(r"for tag in (?P<tags>.*?); do (?P<command>.*?); done")


def commands(message):
    """Return the commands of a message, in its order."""
    return re.findall(r"`((?:for|rio) .*?)`", message)


def rio_lines(command):
    """Return the calls of rio that a command to copy stands for."""
    loop = _LOOP.fullmatch(command)
    if loop:
        return [loop["command"].replace("$tag", tag) for tag in loop["tags"].split()]
    return command.split("; ")


def follow(command, folder=None):
    """Do what a command says, in this process; file names without a folder are in `folder`."""
    for line in rio_lines(command):
        program, *arguments = shlex.split(line)
        assert program == "rio", line
        if folder is not None:
            arguments = [str(folder / a) if re.fullmatch(r"[\w-]+\.\w{3}", a) else a for a in arguments]
        done = CliRunner().invoke(main_group, arguments, catch_exceptions=False)
        assert done.exit_code == 0, (line, done.output)
