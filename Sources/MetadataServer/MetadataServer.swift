import Diagnostics
import Files
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// The HTTP side of the metadata service: listeners, and how much a client may ask of us.
public final class MetadataServer: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let endpoints: MetadataEndpoints

    /// - Parameters:
    ///   - host: a socket that listens where the pods on the host's network can reach it.
    ///   - key: what signatures are made with.
    ///   - log: told of every request, without its token.
    public init(host: OpenFile, key: [UInt8], log: @escaping @Sendable (String) -> Void = { _ in }) throws {
        endpoints = MetadataEndpoints(key: key)
        self.log = log
        _ = try listen(host, pod: nil)
    }

    private let log: @Sendable (String) -> Void

    /// Serves a listener until it is closed.
    /// - Parameter pod: the pod whose own it is; nil for the host's.
    func listen(_ socket: OpenFile, pod: String?) throws -> any Channel {
        let (endpoints, log, clients) = (endpoints, log, ClientCount())
        // NIO closes what it is given.
        let descriptor = withExtendedLifetime(socket) { fcntl(socket.descriptor, F_DUPFD_CLOEXEC, 3) }
        guard descriptor >= 0 else { throw FileError("copy", socket.path) }
        let bootstrap = ServerBootstrap(group: group).childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(ClientLimit(clients))
                try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                try channel.pipeline.syncOperations.addHandler(RequestHandler(endpoints, pod: pod, log: log))
            }
        }
        return try bootstrap.withBoundSocket(descriptor).wait()
    }
}

/// How many clients a listener has. Used by the one event loop.
private final class ClientCount: @unchecked Sendable {
    var count = 0
}

/// Closes connections beyond a number, and those that take too long: a request must be there, and its answer taken, in time.
private final class ClientLimit: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let most = 64
    private static let patience = TimeAmount.seconds(5)

    private let clients: ClientCount
    private var deadline: Scheduled<Void>?

    init(_ clients: ClientCount) { self.clients = clients }

    func channelActive(context: ChannelHandlerContext) {
        clients.count += 1
        if clients.count > Self.most { context.close(promise: nil) } else { extend(context) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        clients.count -= 1
        deadline?.cancel()
        context.fireChannelInactive()
    }

    /// Each answer buys time for the next request.
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        extend(context)
        context.write(data, promise: promise)
    }

    private func extend(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Self.patience) { context.close(promise: nil) }
    }
}

/// Collects a request and answers it.
private final class RequestHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// Bytes of a form.
    private static let mostBody = 256 << 10

    private let endpoints: MetadataEndpoints
    private let pod: String?
    private let log: @Sendable (String) -> Void
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var isTooLarge = false

    init(_ endpoints: MetadataEndpoints, pod: String?, log: @escaping @Sendable (String) -> Void) {
        (self.endpoints, self.pod, self.log) = (endpoints, pod, log)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): (self.head, body, isTooLarge) = (head, [], false)
        case .body(let bytes):
            isTooLarge = isTooLarge || body.count + bytes.readableBytes > Self.mostBody
            if isTooLarge { body = [] } else { body.append(contentsOf: bytes.readableBytesView) }
        case .end:
            guard let head else { return }
            self.head = nil
            respond(to: head, context)
        }
    }

    private func respond(to head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let type = head.headers.first(name: "Content-Type").map { $0.prefix { $0 != ";" }.filter { $0 != " " } } ?? ""
        let request = MetadataRequest(method: head.method.rawValue, target: head.uri, contentType: String(type), body: body)
        let response = isTooLarge ? .text("too large", status: 413) : endpoints.answer(request, on: pod)
        let path = head.uri.split(separator: "/", maxSplits: 1).dropFirst().first ?? ""
        log("\(head.method.rawValue) /\(path) \(response.status)")
        let keepAlive = head.isKeepAlive && !isTooLarge
        var headers = HTTPHeaders([("Content-Type", response.type), ("Content-Length", String(response.body.count)), ("Cache-Control", "no-store")])
        if !keepAlive { headers.add(name: "Connection", value: "close") }
        let status = HTTPResponseStatus(statusCode: response.status)
        context.write(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
        if head.method != .HEAD { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil) }
        let written = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        if !keepAlive { written.assumeIsolated().whenComplete { _ in context.close(promise: nil) } }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
