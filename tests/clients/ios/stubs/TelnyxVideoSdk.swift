// What the README's example uses of the Telnyx Video SDK, by the names and types of its documentation.
public class Room {
    public static func createRoom(
        id: String, clientToken: String, context: [String: Any], enableMessages: Bool, completion: (Room) -> Void
    ) {}
    public func connect(completion: (String) -> Void) {}
    public func updateClientToken(clientToken: String, completion: () -> Void) {}
    public func disconnect(completion: () -> Void) {}
}
