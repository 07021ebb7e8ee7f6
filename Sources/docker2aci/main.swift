import ImageCommands
import Program

runProgram(Docker2ACI.self, arguments: Docker2ACI.normalize(Array(CommandLine.arguments.dropFirst())), program: "docker2aci", failure: 1)
