# SPDX-License-Identifier: GPL-2.0-only
"""Program: append the older revisions of a series that b4 finds on the server to an mbox.

b4 has no command that looks for the revisions before a given one; its function for `b4 diff` does.
rig/series/b4.py runs this file in a process of its own, because b4 keeps its configuration in
module variables and ends the process on many errors.

Arguments: the mbox with the mails that are known, the revisions to look for (`1,2`), and the mbox
to write. It is not written if the server has none of them.
"""

import logging
import sys
from collections.abc import Sequence

import b4
import b4.command
import b4.mbox


def main(arguments: Sequence[str]) -> None:
    mbox, revisions, output = arguments
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    # b4 reads its settings from the options of a command; which command does not matter.
    b4.setup_config(b4.command.setup_parser().parse_args(["-n", "mbox", "x@y"]))
    mails = b4.get_msgs_from_mailbox_or_maildir(mbox)
    known = len(mails)  # get_extra_series() adds to the list it is given
    mails = b4.mbox.get_extra_series(
        mails, direction=-1, wantvers=[int(number) for number in revisions.split(",")], nocache=True
    )
    if len(mails) > known:
        b4.mbox.save_msgs_as_mbox(output, mails[known:])


if __name__ == "__main__":
    main(sys.argv[1:])
