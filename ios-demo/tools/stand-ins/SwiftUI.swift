// A stand-in; see README.md. SwiftUI re-exports Foundation and Combine's ObservableObject there, too.
@_exported import Combine
@_exported import Foundation
import UIKit
import UniformTypeIdentifiers

// Views.

@MainActor @preconcurrency public protocol View {
  associatedtype Body: View
  @ViewBuilder @MainActor @preconcurrency var body: Self.Body { get }
}
extension Never: View { public var body: Never { fatalError() } }
public protocol _Leaf: View where Body == Never {}
extension _Leaf { public var body: Never { fatalError() } }
public struct _Any: _Leaf {
  nonisolated public init() {}
}
public struct EmptyView: _Leaf {
  nonisolated public init() {}
}
public struct TupleView<T>: _Leaf {}
public struct _Conditional<A, B>: _Leaf {}
extension Optional: View where Wrapped: View { public var body: Never { fatalError() } }
@resultBuilder public struct ViewBuilder {
  public static func buildBlock() -> EmptyView { EmptyView() }
  public static func buildExpression<C: View>(_ c: C) -> C { c }
  public static func buildBlock<C: View>(_ c: C) -> C { c }
  public static func buildBlock<each C: View>(_ c: repeat each C) -> TupleView<(repeat each C)> {
    fatalError()
  }
  public static func buildIf<C: View>(_ c: C?) -> C? { c }
  public static func buildEither<A: View, B: View>(first: A) -> _Conditional<A, B> { fatalError() }
  public static func buildEither<A: View, B: View>(second: B) -> _Conditional<A, B> { fatalError() }
}
@MainActor @preconcurrency public protocol Scene {
  associatedtype Body: Scene
  @SceneBuilder @MainActor @preconcurrency var body: Body { get }
}
extension Never: Scene {}
@resultBuilder public struct SceneBuilder {
  public static func buildBlock<C: Scene>(_ c: C) -> C { c }
}
public struct WindowGroup<C: View>: Scene {
  public var body: Never { fatalError() }
  nonisolated public init(@ViewBuilder content: () -> C) {}
}
@MainActor @preconcurrency public protocol App {
  associatedtype Body: Scene
  @SceneBuilder @MainActor @preconcurrency var body: Body { get }
  @MainActor @preconcurrency init()
}
extension App { public static func main() {} }

// State.

public protocol DynamicProperty {}
@propertyWrapper public struct State<V>: DynamicProperty {
  public init(wrappedValue: V) {}
  public var wrappedValue: V {
    get { fatalError() }
    nonmutating set {}
  }
  public var projectedValue: Binding<V> { fatalError() }
}
extension State where V: ExpressibleByNilLiteral { public init() {} }
@propertyWrapper @dynamicMemberLookup public struct Binding<V> {
  public init(get: @escaping () -> V, set: @escaping (V) -> Void) {}
  public var wrappedValue: V {
    get { fatalError() }
    nonmutating set {}
  }
  public var projectedValue: Binding<V> { self }
  public subscript<S>(dynamicMember path: WritableKeyPath<V, S>) -> Binding<S> { fatalError() }
}
@MainActor @propertyWrapper @preconcurrency
public struct StateObject<O: ObservableObject>: DynamicProperty {
  nonisolated public init(wrappedValue: @autoclosure @escaping () -> O) {}
  public var wrappedValue: O { fatalError() }
  public var projectedValue: ObservedObject<O>.Wrapper { fatalError() }
}
@MainActor @propertyWrapper @preconcurrency
public struct ObservedObject<O: ObservableObject>: DynamicProperty {
  @MainActor @dynamicMemberLookup @preconcurrency public struct Wrapper {
    public subscript<S>(dynamicMember path: ReferenceWritableKeyPath<O, S>) -> Binding<S> {
      fatalError()
    }
  }
  public init(wrappedValue: O) {}
  public var wrappedValue: O { fatalError() }
  public var projectedValue: Wrapper { fatalError() }
}
public enum ScenePhase: Sendable { case background, inactive, active }
public struct EnvironmentValues {
  public var scenePhase: ScenePhase { .active }
  public var accessibilityReduceMotion: Bool { false }
}
@propertyWrapper public struct Environment<V>: DynamicProperty {
  public init(_ path: KeyPath<EnvironmentValues, V>) {}
  public var wrappedValue: V { fatalError() }
}

// Looks.

public struct HorizontalAlignment: Sendable {
  public static let leading = HorizontalAlignment(), center = HorizontalAlignment()
}
public struct VerticalAlignment: Sendable { public static let center = VerticalAlignment() }
public struct Alignment: Sendable {
  public static let center = Alignment(), leading = Alignment(), bottomTrailing = Alignment()
}
public struct Axis {
  public struct Set: OptionSet, Sendable {
    public let rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }
    public static let horizontal = Set(rawValue: 1), vertical = Set(rawValue: 2)
  }
}
public struct Edge {
  public struct Set: OptionSet, Sendable {
    public let rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }
    public static let all = Set(rawValue: 15), horizontal = Set(rawValue: 10)
  }
}
public protocol ShapeStyle {}
public struct HierarchicalShapeStyle: ShapeStyle {}
extension ShapeStyle where Self == HierarchicalShapeStyle {
  public static var secondary: HierarchicalShapeStyle { fatalError() }
}
public struct Material: ShapeStyle {}
extension ShapeStyle where Self == Material {
  public static var regularMaterial: Material { fatalError() }
}
public protocol Shape {}
public struct Circle: Shape { public init() {} }
public struct Font: Sendable {
  public static let title = Font(), title2 = Font(), headline = Font(), footnote = Font()
}
public struct Animation: Sendable { public static let `default` = Animation() }
public struct ButtonRole: Sendable { public static let destructive = ButtonRole() }
public protocol PrimitiveButtonStyle {}
public struct BorderedProminentButtonStyle: PrimitiveButtonStyle {}
extension PrimitiveButtonStyle where Self == BorderedProminentButtonStyle {
  public static var borderedProminent: BorderedProminentButtonStyle { fatalError() }
}
public struct AccessibilityTraits: Sendable { public static let isHeader = AccessibilityTraits() }
public struct AccessibilityChildBehavior: Sendable {
  public static let ignore = AccessibilityChildBehavior(), contain = AccessibilityChildBehavior()
  public static let combine = AccessibilityChildBehavior()
}

// Controls and containers.

public struct Text: _Leaf {
  public init(verbatim content: String) {}
}
public struct Image: _Leaf {
  public init(systemName: String) {}
  public init(uiImage: UIImage) {}
  public func resizable() -> Image { self }
}
public struct Label<T: View, I: View>: _Leaf {}
extension Label where T == Text, I == Image {
  public init<S: StringProtocol>(_ title: S, systemImage name: String) {}
}
public struct Button<L: View>: _Leaf {
  public init(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> L) {}
}
extension Button where L == Text {
  public init<S: StringProtocol>(_ title: S, action: @escaping @MainActor () -> Void) {}
  public init<S: StringProtocol>(
    _ title: S, role: ButtonRole?, action: @escaping @MainActor () -> Void
  ) {}
}
public struct VStack<C: View>: _Leaf {
  public init(
    alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> C
  ) {}
}
public struct HStack<C: View>: _Leaf {
  public init(
    alignment: VerticalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> C
  ) {}
}
public struct ViewThatFits<C: View>: _Leaf {
  public init(
    in axes: Axis.Set = [.horizontal, .vertical], @ViewBuilder content: () -> C
  ) {}
}
public struct ScrollView<C: View>: _Leaf {
  public init(
    _ axes: Axis.Set = .vertical, showsIndicators: Bool = true, @ViewBuilder content: () -> C
  ) {}
}
public struct Form<C: View>: _Leaf { public init(@ViewBuilder content: () -> C) {} }
public struct Section<P: View, C: View, F: View>: _Leaf {}
extension Section where P == EmptyView {
  public init(@ViewBuilder content: () -> C, @ViewBuilder footer: () -> F) {}
}
extension Section where F == EmptyView {
  public init(@ViewBuilder content: () -> C, @ViewBuilder header: () -> P) {}
}
public struct ForEach<D: RandomAccessCollection, ID: Hashable, C: View>: _Leaf {
  public init(
    _ data: D, id: KeyPath<D.Element, ID>, @ViewBuilder content: @escaping (D.Element) -> C
  ) {}
}
extension ForEach where D.Element: Identifiable, ID == D.Element.ID {
  public init(_ data: D, @ViewBuilder content: @escaping (D.Element) -> C) {}
}
public struct Spacer: _Leaf { public init(minLength: CGFloat? = nil) {} }
public struct ProgressView: _Leaf {
  public init() {}
  public init<V: BinaryFloatingPoint>(value: V?, total: V = 1) {}
}
public struct Picker<L: View, S: Hashable, C: View>: _Leaf {}
extension Picker where L == Text {
  public init<T: StringProtocol>(_ title: T, selection: Binding<S>, @ViewBuilder content: () -> C) {
  }
}
public struct TabView<S: Hashable, C: View>: _Leaf {
  public init(selection: Binding<S>?, @ViewBuilder content: () -> C) {}
}
public struct ShareLink<L: View>: _Leaf {
  public init(item: URL, @ViewBuilder label: () -> L) {}
}
@MainActor @preconcurrency public protocol UIViewRepresentable: View where Body == Never {
  associatedtype UIViewType: UIView
  typealias Context = UIViewRepresentableContext<Self>
  func makeUIView(context: Context) -> UIViewType
  func updateUIView(_ view: UIViewType, context: Context)
}
extension UIViewRepresentable { public var body: Never { fatalError() } }
public struct UIViewRepresentableContext<R: UIViewRepresentable> {}

// Modifiers.

extension View {
  public func padding(_ edges: Edge.Set = .all, _ length: CGFloat? = nil) -> some View { _Any() }
  public func padding(_ length: CGFloat) -> some View { _Any() }
  public func font(_ font: Font?) -> some View { _Any() }
  public func monospacedDigit() -> some View { _Any() }
  public func foregroundStyle<S: ShapeStyle>(_ style: S) -> some View { _Any() }
  public func background<S: ShapeStyle, T: Shape>(_ style: S, in shape: T) -> some View { _Any() }
  public func overlay<V: View>(
    alignment: Alignment = .center, @ViewBuilder content: () -> V
  ) -> some View { _Any() }
  public func scaledToFit() -> some View { _Any() }
  public func frame(
    minWidth: CGFloat? = nil, idealWidth: CGFloat? = nil, maxWidth: CGFloat? = nil,
    minHeight: CGFloat? = nil, idealHeight: CGFloat? = nil, maxHeight: CGFloat? = nil,
    alignment: Alignment = .center
  ) -> some View { _Any() }
  public func animation<V: Equatable>(_ animation: Animation?, value: V) -> some View { _Any() }
  public func buttonStyle<S: PrimitiveButtonStyle>(_ style: S) -> some View { _Any() }
  public func tabItem<V: View>(@ViewBuilder _ label: () -> V) -> some View { _Any() }
  public func tag<V: Hashable>(_ tag: V) -> some View { _Any() }
  public func accessibilityIdentifier(_ identifier: String) -> some View { _Any() }
  public func accessibilityLabel<S: StringProtocol>(_ label: S) -> some View { _Any() }
  public func accessibilityAddTraits(_ traits: AccessibilityTraits) -> some View { _Any() }
  public func accessibilityElement(
    children: AccessibilityChildBehavior = .ignore
  ) -> some View { _Any() }
  public func task(
    priority: TaskPriority = .userInitiated, _ action: @escaping @MainActor () async -> Void
  ) -> some View { _Any() }
  public func onAppear(perform action: (@MainActor () -> Void)? = nil) -> some View { _Any() }
  public func onDisappear(perform action: (@MainActor () -> Void)? = nil) -> some View { _Any() }
  // The form of iOS 16.
  public func onChange<V: Equatable>(
    of value: V, perform action: @escaping @MainActor (V) -> Void
  ) -> some View { _Any() }
  public func onOpenURL(perform action: @escaping @MainActor (URL) -> Void) -> some View { _Any() }
  public func fileImporter(
    isPresented: Binding<Bool>, allowedContentTypes: [UTType],
    onCompletion: @escaping @MainActor (Result<URL, any Error>) -> Void
  ) -> some View { _Any() }
}
