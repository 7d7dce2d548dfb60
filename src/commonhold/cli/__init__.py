"""The commands.

    main       the group: options before the command, lazy loading, what an error becomes
    table      every command's name, group and purpose; all that `commonhold --help` reads
    command    how one command is declared: purpose, options, examples
    invocation what every command gets: the home, the output, the way to the node
    output     the one place that prints
    words      values typed by people: moments, durations, doors
    progress   what a terminal shows while something takes its time
    reference  makes docs/cli.md

Every other file is one command, under the command's own name.
"""
