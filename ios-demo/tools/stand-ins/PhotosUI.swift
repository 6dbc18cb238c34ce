// A stand-in; see README.md.
import SwiftUI

public struct PHPickerFilter: Sendable {
  public static let images = PHPickerFilter()
}
public protocol Transferable {}
extension Data: Transferable {}
public struct PhotosPickerItem: Equatable, Sendable {
  public func loadTransferable<T: Transferable>(type: T.Type) async throws -> T? { nil }
}
extension View {
  public func photosPicker(
    isPresented: Binding<Bool>, selection: Binding<PhotosPickerItem?>,
    matching filter: PHPickerFilter? = nil
  ) -> some View { _Any() }
}
