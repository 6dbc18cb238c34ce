/// What a screen shows, without the screen: states that follow from what people, cameras and models do.
///
/// Combine and Observation are not everywhere where this is tested, so an app is told of changes by
/// `willChange` and hands them on to its views.
@MainActor
open class ViewModel {
  /// Called before a state changes.
  public var willChange: () -> Void = {}

  public init() {}
}
