// swift-tools-version:5.7
import PackageDescription

let package = Package(
    name: "VideoTokenClient",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "VideoTokenClient", targets: ["VideoTokenClient"])],
    targets: [.target(name: "VideoTokenClient")]
)
