// SPDX-License-Identifier: Apache-2.0

import HTTP
import JSON
import MachineModel
import Metadata
import Testing

/// Requests and data of the metadata service, without a network.
@Suite struct MetadataServiceTests {
    private static let data: JSONValue = [
        "latest": [
            "meta-data": ["ami-id": "ami-1", "list": ["a", "b"], "empty": "", "object": ["key": "value"]],
            "limits": ["cpu": 512],
        ],
        "a/b": "slash",
    ]

    private func service(_ version: MetadataConfiguration.Version, isCompatible: Bool = false) throws -> MetadataService
    {
        let service = MetadataService()
        var configuration = MetadataConfiguration(networkInterfaces: ["eth0"], version: version)
        configuration.compatibility = isCompatible
        service.configure(configuration)
        try service.replace(by: Self.data)
        return service
    }

    private func request(_ method: String, _ path: String, _ headers: HTTPHeaders = [:]) -> HTTPRequest {
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        return HTTPRequest(method: method, pathSegments: segments, headers: headers)
    }

    private func text(_ response: HTTPResponse) -> String {
        "\(response.status) \(String(decoding: response.body, as: UTF8.self))"
    }

    @Test(arguments: [
        ("/latest/meta-data/ami-id", "200 ami-1"), ("/latest//meta-data/ami-id/", "200 ami-1"),
        ("/latest/meta-data", "200 ami-id\nempty\nlist\nobject/"), ("/latest/meta-data/list/1", "200 b"),
        ("/latest/meta-data/list/01", "404 Resource not found: /latest/meta-data/list/01."),
        ("/latest/meta-data/list/2", "404 Resource not found: /latest/meta-data/list/2."),
        ("/latest/meta-data/empty", "200 "), ("/a~1b", "200 slash"),
        ("/latest/limits/cpu", "501 Cannot retrieve value. The value has an unsupported type."),
        ("/nothing", "404 Resource not found: /nothing."),
    ])
    func `the first version answers as EC2's service does`(path: String, answer: String) throws {
        #expect(try text(service(.v1).answer(request("GET", path))) == answer)
    }

    @Test func `a client that accepts JSON gets it, unless answers are to be EC2's`() throws {
        let path = request("GET", "/latest/limits", ["Accept": "application/json"])
        let response = try service(.v1).answer(path)
        #expect(text(response) == #"200 {"cpu":512}"#)
        let compatible = try service(.v1, isCompatible: true).answer(path)
        #expect(text(compatible) == "200 cpu" && compatible.headers["Content-Type"] == "application/json")
    }

    @Test(arguments: ["X-metadata-token", "X-aws-ec2-metadata-token"])
    func `the second version wants a token that it gave and that has not ended`(header: String) throws {
        let service = try service(.v2)
        let now = ContinuousClock.now
        let made = service.answer(
            request("PUT", "/latest/api/token", ["\(header)-ttl-seconds": "60"]),
            now: now
        )
        #expect(made.status == 200 && made.headers["\(header)-ttl-seconds"] == "60")
        let token = String(decoding: made.body, as: UTF8.self)
        let get = request("GET", "/latest/meta-data/ami-id", [header: token])
        #expect(text(service.answer(get, now: now + .seconds(59))) == "200 ami-1")
        #expect(text(service.answer(get, now: now + .seconds(60))) == "401 MMDS token not valid.")
        let foreign = try self.service(.v2)
        #expect(text(foreign.answer(get, now: now)) == "401 MMDS token not valid.")
        #expect(
            text(service.answer(request("GET", "/"))).hasPrefix("401 No MMDS token provided. Use `X-metadata-token`")
        )
        #expect(service.statistics.invalidTokens == 1 && service.statistics.missingTokens == 1)
    }

    @Test(arguments: [
        ("/latest/api/token", "", "", "400 Token time to live value not found."),
        (
            "/latest/api/token", "0", "",
            "400 Invalid time to live value provided for token: 0. Please provide a value between 1"
        ),
        ("/latest/api/token", "21601", "", "400 Invalid time to live value provided for token: 21601."),
        ("/latest/api/token", "x", "", "400 Invalid header."),
        ("/latest/api/toke", "60", "", "404 Resource not found: /latest/api/toke."),
        ("/", "60", "host", "400 Invalid header. Reason: Unsupported header name. Key: X-Forwarded-For"),
    ])
    func `a wrong request for a token is told what is wrong`(
        path: String,
        lifetime: String,
        forwardedFor: String,
        answer: String
    ) throws {
        var headers: HTTPHeaders = [:]
        if !lifetime.isEmpty { headers.add("X-metadata-token-ttl-seconds", lifetime) }
        if !forwardedFor.isEmpty { headers.add("X-Forwarded-For", forwardedFor) }
        #expect(try text(service(.v2).answer(request("PUT", path, headers))).hasPrefix(answer))
    }

    @Test func `other methods are refused`() throws {
        let response = try service(.v1).answer(request("DELETE", "/"))
        #expect(response.status == 405 && response.headers["Allow"] == "GET, PUT")
    }

    @Test func `tokens without end cost a bounded amount of memory, and the newest are valid`() throws {
        let service = try service(.v2)
        var last = ""
        for _ in 0..<5000 {
            let made = service.answer(request("PUT", "/latest/api/token", ["X-metadata-token-ttl-seconds": "100"]))
            last = String(decoding: made.body, as: UTF8.self)
        }
        #expect(service.answer(request("GET", "/", ["X-metadata-token": last])).status == 200)
    }

    @Test func `data is merged as RFC 7396 says, and refused as a whole where it does not fit`() throws {
        let service = MetadataService(limit: 48)
        #expect(throws: MetadataError.notInitialized) { try service.merge(["a": 1]) }
        #expect(service.value == .object([:]))
        try service.replace(by: ["a": ["b": 1, "c": 2], "d": "x"])
        try service.merge(["a": ["b": .null, "e": [1]], "d": ["f": "g"]])
        #expect(service.value == ["a": ["c": 2, "e": [1]], "d": ["f": "g"]])
        #expect(throws: MetadataError.tooLarge) { try service.merge(["h": "12345678901234567890"]) }
        #expect(throws: MetadataError.tooLarge) { try service.replace(by: .string(String(repeating: "x", count: 48))) }
        #expect(service.value == ["a": ["c": 2, "e": [1]], "d": ["f": "g"]])
    }
}
