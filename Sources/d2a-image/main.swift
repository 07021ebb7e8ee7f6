import ImageCommands

// It speaks for d2a, which started it.
runProgramMain(ImageHelper.self, arguments: Array(CommandLine.arguments.dropFirst()), program: "d2a", failure: 254)
