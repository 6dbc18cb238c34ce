// A stand-in; see README.md.
public protocol ObservableObject: AnyObject {}
public final class ObservableObjectPublisher {
  public init() {}
  public func send() {}
}
@propertyWrapper public struct Published<Value> {
  public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
  public var wrappedValue: Value
}
