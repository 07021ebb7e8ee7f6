import ImageCommands
import Program

// It speaks for d2a, which started it.
runProgram(ImageHelper.self, arguments: Array(CommandLine.arguments.dropFirst()), program: "d2a", failure: 254)
