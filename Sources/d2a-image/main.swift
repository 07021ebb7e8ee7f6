import CLinux
import ImageCommands
import Program

// It works for whoever started it, and for nobody after that.
system_die_with_parent()
// It speaks for d2a, which started it.
runProgram(ImageHelper.self, arguments: Array(CommandLine.arguments.dropFirst()), program: "d2a", failure: 254)
